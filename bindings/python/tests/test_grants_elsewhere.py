"""Grants without a browser at the client: approval on another device, token exchange and assertions."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from conftest import Twin, generic_client
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import oauth_core
import oauth_core.drive

SCOPE = "openid read"
SUBJECT = "user-248289761001"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def open_page(url: str) -> None:
    with urllib.request.urlopen(url) as page:
        assert page.status == 200


@contextmanager
def concurrently(act: Callable[[], None]) -> Iterator[None]:
    """Runs this concurrently with the block, and fails if it raised an exception."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    assert not problems, problems


def wait_for_requests(twin: Twin, count: int) -> None:
    """Waits until the token endpoint has received this many requests."""
    end = time.monotonic() + 30
    while twin.counters["token_requests"] < count:
        assert time.monotonic() < end, "nobody asks"
        time.sleep(0.02)


def waiting(code: oauth_core.DeviceAuthorizationResponse) -> dict[str, Any]:
    return {
        "device_code": code.device_code,
        "expires_at": code.expires_at,
        "interval": code.interval,
        "scope": SCOPE,
    }


def token_answers(twin: Twin) -> list[tuple[int, str | None]]:
    return [(entry["status"], entry["fault"]) for entry in twin.log if entry["path"] == "/token"]


def test_a_device_gets_tokens_once_the_user_approves(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    code = call(client, "device_authorization", scope=SCOPE, purpose="sign in on a shelf")
    assert isinstance(code, oauth_core.DeviceAuthorizationResponse)
    assert code.interval == 1 and code.expires_in == 600
    assert code.user_code in code.prompt and "shelf" in code.prompt
    page = code.verification_uri_complete
    assert page is not None and code.device_code not in repr(code)

    def lose_a_reply_and_approve() -> None:
        wait_for_requests(fast_polling, 1)
        # After a lost response, the client polls again later.
        fast_polling.fault("lost_reply")
        wait_for_requests(fast_polling, 2)
        open_page(page)

    with concurrently(lose_a_reply_and_approve):
        tokens = call(client, "poll_device_token", **waiting(code))
    assert tokens.claims is not None and tokens.claims["sub"] == SUBJECT
    assert token_answers(fast_polling) == [(400, None), (400, "lost_reply"), (200, None)]


def test_a_denied_device_login_is_reported(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    code = call(client, "device_authorization", scope=SCOPE)
    page = code.verification_uri_complete

    def refuse() -> None:
        wait_for_requests(fast_polling, 1)
        fast_polling.deny()
        open_page(page)

    with concurrently(refuse), pytest.raises(oauth_core.DeniedError) as error:
        call(client, "poll_device_token", **waiting(code))
    assert error.value.code == "denied.access_denied"


def test_an_expired_device_code_is_reported(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    code = call(client, "device_authorization", scope=SCOPE)
    fast_polling.fault("expired_token")
    with pytest.raises(oauth_core.DeniedError) as error:
        call(client, "poll_device_token", **waiting(code))
    assert error.value.code == "denied.expired_token"
    before = fast_polling.counters["token_requests"]
    assert before == 1
    # Once it has expired, no request is sent.
    over = {**waiting(code), "expires_at": time.time() + 0.5}
    with pytest.raises(oauth_core.DeniedError) as error:
        call(client, "poll_device_token", **over)
    assert error.value.code == "denied.expired_token"
    assert fast_polling.counters["token_requests"] == before


def test_a_device_login_polls_at_the_interval_that_the_server_sets(
    generic: Twin, client: oauth_core.Client
) -> None:
    """Driven step by step with a simulated clock, so the test does not wait."""
    code = client.device_authorization(scope=SCOPE)
    page = code.verification_uri_complete
    assert code.interval == 5 and page is not None
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        generic.advance(int(seconds))
        if len(pauses) == 1:
            generic.fault("slow_down")
        if len(pauses) == 3:
            open_page(page)

    with httpx.Client() as http:
        steps = client.exchange.poll_device_token(**waiting(code))
        tokens = oauth_core.drive.run(steps, http, sleep=sleep)
    assert tokens.claims is not None and tokens.claims["sub"] == SUBJECT
    assert pauses == [5, 10, 10]
    assert token_answers(generic) == [(400, "slow_down"), (400, None), (200, None)]


class Enough(Exception):
    pass


def test_a_signal_handler_interrupts_a_blocking_device_login(
    generic: Twin, client: oauth_core.Client
) -> None:
    def interrupt(*_: Any) -> None:
        raise Enough

    code = client.device_authorization(scope=SCOPE)
    previous = signal.signal(signal.SIGALRM, interrupt)
    began = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(Enough):
            client.poll_device_token(**waiting(code))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert time.monotonic() - began < 4
    assert generic.counters["token_requests"] == 0


def test_cancelling_a_coroutine_ends_its_device_login(fast_polling: Twin, client: oauth_core.Client) -> None:
    async def give_up() -> None:
        code = await client.adevice_authorization(scope=SCOPE)
        login = asyncio.create_task(client.apoll_device_token(**waiting(code)))
        await asyncio.sleep(0.3)
        login.cancel()
        with pytest.raises(asyncio.CancelledError):
            await login
        # Polling does not continue in the background.
        await asyncio.sleep(1.5)

    asyncio.run(give_up())
    assert fast_polling.counters["token_requests"] == 0


def begun(call: Callable[..., Any], client: oauth_core.Client, **more: Any) -> Any:
    request = call(
        client, "backchannel_authentication", login_hint="alice", scope=SCOPE, **more
    )
    assert isinstance(request, oauth_core.BackchannelAuthenticationResponse)
    assert request.auth_req_id not in repr(request)
    return request


def test_the_user_approves_on_their_own_device(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    request = begun(call, client, binding_message="W4SCT", requested_expiry=60)
    assert (request.binding_message, request.expires_in, request.interval) == ("W4SCT", 60, 1)
    assert request.client_notification_token is None
    login = {
        "auth_req_id": request.auth_req_id,
        "expires_at": request.expires_at,
        "interval": request.interval,
        "scope": SCOPE,
    }

    def approve_later() -> None:
        wait_for_requests(fast_polling, 1)
        open_page(f"{fast_polling.base}/authentication_device?binding_message=W4SCT")

    with concurrently(approve_later):
        tokens = call(client, "poll_backchannel_token", **login)
    assert tokens.claims is not None and tokens.claims["sub"] == SUBJECT

    again = begun(call, client)
    fast_polling.deny()
    open_page(f"{fast_polling.base}/authentication_device")
    with pytest.raises(oauth_core.DeniedError) as error:
        call(client, "poll_backchannel_token", **{**login, "auth_req_id": again.auth_req_id})
    assert error.value.code == "denied.access_denied"
    with pytest.raises(oauth_core.DeniedError) as error:
        call(client, "backchannel_authentication", login_hint="bob", scope=SCOPE)
    assert (error.value.code, error.value.error) == ("denied.other", "unknown_user_id")


def test_a_ping_notification_is_verified_and_answered_with_one_token_request(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    fast_polling.backchannel_delivery("ping", "https://client.example/ping")
    request = begun(call, client, token_delivery_mode="ping")
    open_page(f"{fast_polling.base}/authentication_device")
    (ping,) = fast_polling.notifications()
    judged = {
        "auth_req_id": request.auth_req_id,
        "client_notification_token": request.client_notification_token,
    }
    posted = {"authorization": ping["authorization"], "body": ping["body"]}
    assert call(client, "verify_ping", **judged, **posted) is None
    with pytest.raises(oauth_core.UntrustedError) as error:
        call(client, "verify_ping", **judged, **{**posted, "authorization": "Bearer another"})
    assert error.value.code == "ciba.client_notification_token"
    assert (error.value.response_status, error.value.challenge) == (401, "Bearer")
    with pytest.raises(oauth_core.UntrustedError) as error:
        call(client, "verify_ping", **{**judged, "auth_req_id": "another"}, **posted)
    assert error.value.code == "ciba.unknown_request"
    tokens = call(client, "poll_backchannel_token", auth_req_id=request.auth_req_id, scope=SCOPE)
    assert tokens.claims is not None and tokens.claims["sub"] == SUBJECT
    assert fast_polling.counters["token_requests"] == 1


def test_pushed_tokens_are_verified(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    fast_polling.backchannel_delivery("push", "https://client.example/push")
    request = begun(call, client, token_delivery_mode="push")
    # A user who is asked often enough may eventually approve (prompt fatigue).
    with pytest.raises(oauth_core.MisuseError) as pending:
        begun(call, client, token_delivery_mode="push")
    assert pending.value.code == "ciba.duplicate_request"
    other = begun(call, client, token_delivery_mode="push", repeat="allowed")
    for _ in range(2):
        open_page(f"{fast_polling.base}/authentication_device")
    pushed, foreign = fast_polling.notifications()
    judged = {
        "auth_req_id": request.auth_req_id,
        "client_notification_token": request.client_notification_token,
        "authorization": pushed["authorization"],
        "scope": SCOPE,
    }
    tokens = call(client, "accept_push", **judged, body=pushed["body"])
    assert tokens.claims is not None and tokens.claims["sub"] == SUBJECT
    assert other.auth_req_id != request.auth_req_id
    mixed = {**json.loads(foreign["body"]), "auth_req_id": request.auth_req_id}
    with pytest.raises(oauth_core.UntrustedError) as error:
        call(client, "accept_push", **judged, body=json.dumps(mixed))
    assert error.value.code == "id_token.auth_req_id"


def test_a_token_is_exchanged_for_one_with_an_actor(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    subject = fast_polling.signed_in(client).access_token
    actor = client.client_credentials().token().access_token
    tokens = call(
        client,
        "token_exchange",
        subject_token=subject,
        subject_token_type="access_token",
        actor_token=actor,
        actor_token_type="access_token",
        scope="read",
        resource=["https://api.example/"],
        audience=["backend"],
    )
    assert tokens.extra["issued_token_type"] == ACCESS_TOKEN
    state = client.introspect(token=tokens.access_token)
    assert state.subject == SUBJECT
    assert state.audience == ("https://api.example/", "backend")
    assert state.extra["act"] == {"sub": "twin-client"}
    alone = {"subject_token": subject, "subject_token_type": "access_token"}
    with pytest.raises(oauth_core.MisuseError) as error:
        call(client, "token_exchange", **alone, actor_token=actor)
    assert error.value.code == "token_exchange.malformed"
    with pytest.raises(oauth_core.DeniedError) as denied:
        call(client, "token_exchange", **{**alone, "subject_token": "dead"})
    assert denied.value.code == "denied.invalid_request"


def key_pair() -> tuple[str, dict[str, str]]:
    """A key in PEM, and its public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = key.private_bytes(serialization.Encoding.PEM, *form).decode()
    return pem, oauth_core.PrivateKeyJwt(pem, alg="ES256").public_jwks()["keys"][0]


def test_a_client_gets_a_token_for_a_service_account_with_a_signed_jwt(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    pem, jwk = key_pair()
    signing = {"key": pem, "alg": "ES256", "issuer": "robot", "subject": "somebody"}
    with pytest.raises(oauth_core.DeniedError) as error:
        call(client, "jwt_bearer_with_key", **signing, scope="read")
    assert error.value.code == "denied.invalid_grant"
    fast_polling.register_assertion_key("robot", jwk)
    tokens = call(client, "jwt_bearer_with_key", **signing, scope="read")
    assert client.introspect(token=tokens.access_token).subject == "somebody"
    elsewhere = {**signing, "audience_claim": "https://elsewhere.example"}
    with pytest.raises(oauth_core.DeniedError) as error:
        call(client, "jwt_bearer_with_key", **elsewhere, scope="read")
    assert error.value.code == "denied.invalid_grant"
    with pytest.raises(oauth_core.MisuseError) as misuse:
        call(client, "jwt_bearer_with_key", **signing, claims={"sub": "me"})
    assert misuse.value.code == "assertion.claim"


def test_an_identity_provider_asserts_the_users_identity_to_another_server(
    twins: dict[str, Twin], call: Callable[..., Any]
) -> None:
    idp, other = twins["identity-provider"], twins["generic"]
    us, there = generic_client(idp), generic_client(other)
    idp.vouch_to(other.base, other.data["client_id"])
    other.trust_identity_provider(idp.base)
    signed_in = idp.signed_in(us)
    assert signed_in.id_token is not None
    ask = {"subject_token": signed_in.id_token, "issuer": other.base, "scope": "read"}
    got = call(us, "request_identity_assertion", **ask)
    assert isinstance(got, oauth_core.IdentityAssertion)
    assert got.audience == other.base and got.assertion not in repr(got)
    assert got.expires_at is not None and list(got.scope) == ["read"]
    tokens = call(there, "redeem_identity_assertion", assertion=got.assertion)
    assert there.introspect(token=tokens.access_token).subject == SUBJECT
    # It is also a valid JWT bearer assertion, but can be used only once.
    with pytest.raises(oauth_core.DeniedError) as denied:
        call(there, "jwt_bearer", assertion=got.assertion)
    assert denied.value.code == "denied.invalid_grant"
    with pytest.raises(oauth_core.UntrustedError) as error:
        call(us, "redeem_identity_assertion", assertion=got.assertion)
    assert error.value.code == "jwt.audience"
    idp.fault("issued_token_type")
    with pytest.raises(oauth_core.OAuthError) as wrong:
        call(us, "request_identity_assertion", **ask)
    assert wrong.value.code == "token.unexpected_issued_token_type"


def test_identity_assertion_grant_requests_and_redeems_an_assertion_in_one_call(twins: dict[str, Twin]) -> None:
    idp, other = twins["identity-provider"], twins["generic"]
    us, there = generic_client(idp), generic_client(other)
    idp.vouch_to(other.base, other.data["client_id"])
    other.trust_identity_provider(idp.base)
    signed_in = idp.signed_in(us)
    # A new assertion for each call.
    for _ in range(2):
        tokens = oauth_core.identity_assertion_grant(us, signed_in, there, scope="read")
        assert there.introspect(token=tokens.access_token).subject == SUBJECT

    async def once() -> oauth_core.Tokens:
        return await oauth_core.aidentity_assertion_grant(us, signed_in, there, scope="read")

    assert list(asyncio.run(once()).scope) == ["read"]
    # Tokens of another server have no ID token.
    with pytest.raises(oauth_core.OAuthError) as missing:
        oauth_core.identity_assertion_grant(us, tokens, there)
    assert missing.value.code == "identity_assertion.no_id_token"
    assert missing.value.advice == "reauthorize"
