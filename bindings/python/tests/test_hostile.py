"""Hostile servers and callbacks, and secrets that must not leave this machine."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from conftest import (
    CALLBACK,
    Answer,
    StubServer,
    Twin,
    approve,
    browse,
    generic_client,
    reply,
    server_at,
)
from test_store import MemoryStore

import oauth_core

Start = Callable[[Answer], StubServer]
SECRET = "s3cr+t/%: ~"


def client_at(base: str, timeout: float = 30.0) -> oauth_core.Client:
    auth = oauth_core.ClientSecretPost(SECRET)
    return oauth_core.Client(server_at(base), client_id="id", client_auth=auth, timeout=timeout)


def flow_and_callback(twin: Twin) -> tuple[oauth_core.Client, oauth_core.PendingAuthorization, str]:
    client = generic_client(twin, public=True)
    flow = client.authorize(redirect_uri=CALLBACK, scope="read")
    return client, flow, approve(flow.url)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("foreign_state_in_callback", "callback.state"),
        ("wrong_issuer_in_callback", "callback.issuer"),
    ],
)
def test_a_callback_with_another_state_or_issuer_is_rejected(generic: Twin, fault: str, code: str) -> None:
    client = generic_client(generic, public=True)
    flow = client.authorize(redirect_uri=CALLBACK)
    generic.fault(fault)
    callback = approve(flow.url)
    before = generic.counters["token_requests"]
    with pytest.raises(oauth_core.UntrustedError) as caught:
        client.redeem(flow, callback)
    assert (caught.value.code, caught.value.advice) == (code, "give_up")
    assert generic.counters["token_requests"] == before


def test_each_login_has_its_own_state_nonce_and_pkce_challenge(generic: Twin) -> None:
    client = generic_client(generic, public=True)
    drawn: set[str] = set()
    for _ in range(2):
        flow = client.authorize(redirect_uri=CALLBACK, scope="openid")
        client.redeem(flow, approve(flow.url))
        query = generic.entry("/authorize")["query"]
        assert query["code_challenge_method"] == "S256"
        drawn |= {query[name] for name in ("state", "nonce", "code_challenge")}
        # The twin compares the verifier with the challenge.
        assert "code_verifier" in generic.entry("/token")["form"]
    assert len(drawn) == 6 and {len(value) for value in drawn} == {43}


def test_the_user_is_identified_by_verified_claims(generic: Twin) -> None:
    client = generic_client(generic, public=True)
    flow = client.authorize(redirect_uri=CALLBACK, scope="openid read")
    tokens = client.redeem(flow, approve(flow.url))
    claims = tokens.claims
    assert claims is not None and claims["iss"] == tokens.issuer
    assert claims["aud"] == tokens.client_id and claims["sub"]
    # Each access returns a new dict.
    claims.clear()
    assert tokens.claims and copy.copy(tokens).claims == tokens.claims
    # Only the tokens are stored; without the scope ``openid`` there is no user.
    assert oauth_core.Tokens.deserialize(tokens.serialize()).claims is None
    other = client.authorize(redirect_uri=CALLBACK, scope="read")
    assert client.redeem(other, approve(other.url)).claims is None


def test_userinfo_is_about_the_user_who_signed_in(generic: Twin) -> None:
    client = generic_client(generic, public=True)
    flow = client.authorize(redirect_uri=CALLBACK, scope="openid profile email")
    tokens = client.redeem(flow, approve(flow.url))
    assert tokens.claims is not None
    userinfo = client.userinfo(tokens=tokens, subject=tokens.claims["sub"])
    assert (userinfo.subject, userinfo.claims["name"]) == (tokens.claims["sub"], "Alice Liddell")
    assert userinfo.claims["email_verified"] is True
    assert (userinfo.name, userinfo.email_verified, userinfo.nickname) == ("Alice Liddell", True, None)
    # Personal data is not shown by repr.
    assert "Alice" not in repr(userinfo)
    with pytest.raises(oauth_core.UntrustedError) as caught:
        client.userinfo(tokens=tokens, subject="another")
    assert caught.value.code == "userinfo.subject"


@pytest.mark.parametrize(
    ("flaw", "kind", "code"),
    [
        ("missing", oauth_core.MalformedError, "id_token.missing"),
        ("wrong_issuer", oauth_core.UntrustedError, "jwt.issuer"),
        ("wrong_audience", oauth_core.UntrustedError, "jwt.audience"),
        ("wrong_nonce", oauth_core.UntrustedError, "id_token.nonce"),
        ("missing_subject", oauth_core.UntrustedError, "jwt.missing_claim"),
        ("wrong_access_token_hash", oauth_core.UntrustedError, "id_token.at_hash"),
        ("broken_signature", oauth_core.UntrustedError, "jws.bad_signature"),
        ("unsigned", oauth_core.UntrustedError, "jws.alg_not_allowed"),
    ],
)
def test_a_flawed_id_token_fails_the_login(
    generic: Twin, flaw: str, kind: type[oauth_core.OAuthError], code: str
) -> None:
    client = generic_client(generic, public=True)
    flow = client.authorize(redirect_uri=CALLBACK, scope="openid")
    callback = approve(flow.url)
    generic.fault("id_token", flaw=flaw)
    with pytest.raises(kind) as caught:
        client.redeem(flow, callback)
    assert caught.value.code == code


def test_a_denial_by_the_user_is_reported(generic: Twin) -> None:
    client = generic_client(generic, public=True)
    flow = client.authorize(redirect_uri=CALLBACK)
    generic.deny()
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.redeem(flow, approve(flow.url))
    assert (caught.value.code, caught.value.error) == ("denied.access_denied", "access_denied")


def test_a_flow_can_be_redeemed_only_once(generic: Twin) -> None:
    client, flow, callback = flow_and_callback(generic)
    saved = oauth_core.PendingAuthorization.deserialize(flow.serialize())
    assert client.redeem(saved, callback).access_token
    for again in (saved.serialize, lambda: client.redeem(saved, callback)):
        with pytest.raises(oauth_core.MisuseError) as caught:
            again()
        assert caught.value.code == "misuse.already_finished"
    with pytest.raises(AttributeError):
        saved.url  # noqa: B018


def test_a_callback_of_another_flow_is_rejected_and_the_flow_continues(generic: Twin) -> None:
    client, flow, callback = flow_and_callback(generic)
    _, other, strange = flow_and_callback(generic)
    assert flow.state in callback and flow.state not in strange
    assert (flow.recognizes(callback), flow.recognizes(strange)) == (True, False)
    assert flow.redirect_uri == CALLBACK
    assert flow.started_at <= other.started_at
    before = generic.counters["token_requests"]
    for turned_away in (strange, f"{CALLBACK}?error=access_denied", f"{CALLBACK}?state=x&code=c"):
        with pytest.raises(oauth_core.OAuthError):
            client.redeem(flow, turned_away)
        with pytest.raises(oauth_core.OAuthError):
            client.exchange.redeem(flow, turned_away)
    assert generic.counters["token_requests"] == before
    assert flow.state not in repr(flow)
    assert client.redeem(flow, callback).access_token
    assert not flow.recognizes(callback)


def test_a_flow_of_another_client_is_rejected(generic: Twin) -> None:
    _, flow, callback = flow_and_callback(generic)
    with pytest.raises(oauth_core.UntrustedError) as caught:
        generic_client(generic).redeem(flow, callback)
    assert caught.value.code == "stored.issuer"


def test_tokens_of_another_client_are_rejected(generic: Twin) -> None:
    client, flow, callback = flow_and_callback(generic)
    with pytest.raises(oauth_core.UntrustedError) as caught:
        generic_client(generic).source(client.redeem(flow, callback))
    assert caught.value.code == "stored.issuer"


def test_a_redirect_of_the_token_endpoint_is_not_followed(plain: Start) -> None:
    thief = plain(reply(200, b"{}"))
    server = plain(reply(307, location=f"{thief.base}/token"))
    with pytest.raises(oauth_core.MalformedError) as caught:
        client_at(server.base).client_credentials().token()
    assert caught.value.code == "reply.redirect"
    assert len(server.seen) == 1 and thief.seen == []


def test_a_50_mb_response_is_rejected(plain: Start) -> None:
    body = b'{"access_token":"' + b"x" * 50_000_000 + b'"}'
    server = plain(reply(200, body, content_type="application/json"))
    with pytest.raises(oauth_core.MalformedError) as caught:
        client_at(server.base).client_credentials().token()
    assert caught.value.code == "reply.too_large"


@pytest.mark.parametrize(
    ("fault", "values", "kind", "code"),
    [
        ("html", {}, oauth_core.MalformedError, "reply.content_type"),
        ("truncated_json", {}, oauth_core.MalformedError, "reply.json"),
        ("duplicate_member", {}, oauth_core.MalformedError, "reply.duplicate_member"),
        ("nested_json", {}, oauth_core.MalformedError, "reply.nesting"),
        ("oversized_json", {}, oauth_core.MalformedError, "reply.too_large"),
        ("gzip_bomb", {}, oauth_core.MalformedError, "reply.too_large"),
        ("redirect_to", {}, oauth_core.MalformedError, "reply.redirect"),
        ("lost_reply", {}, oauth_core.LostError, "lost.closed"),
        ("status", {"status": 503, "retry_after": 5}, oauth_core.OAuthError, None),
    ],
)
def test_each_fault_of_a_token_response_is_reported_with_its_code(
    generic: Twin,
    client: oauth_core.Client,
    fault: str,
    values: dict[str, Any],
    kind: type[oauth_core.OAuthError],
    code: str | None,
) -> None:
    source = client.client_credentials()
    generic.fault(fault, **values)
    with pytest.raises(kind) as caught:
        source.token()
    error = caught.value
    assert error.endpoint == "token" and error.code in str(error)
    assert code is None or error.code == code
    if fault == "status":
        # A second more than the server says.
        assert (error.advice, error.retry_after) == ("retry", 6)
    if kind is oauth_core.LostError:
        assert isinstance(error.__cause__, oauth_core.TransportError)
    assert generic.data["client_secret"] not in f"{error!r} {error.__cause__!r}"
    if error.retry_after is None:
        assert source.token().access_token, "the next caller asks again"


def test_an_unreachable_server_is_reported_with_its_url(plain: Start) -> None:
    client = client_at("http://127.0.0.1:9")
    with pytest.raises(oauth_core.LostError) as caught:
        client.client_credentials().token()
    assert (caught.value.code, caught.value.advice) == ("lost.connect", "retry")
    assert caught.value.url == "http://127.0.0.1:9/token"
    assert "token: POST http://127.0.0.1:9/token: " in str(caught.value)


def test_an_error_contains_the_request_url_without_its_query(generic: Twin, plain: Start) -> None:
    client = generic_client(generic)
    generic.fault("status", status=404)
    with pytest.raises(oauth_core.DeniedError) as refused:
        client.client_credentials().token()
    assert refused.value.url == f"{generic.base}/token"
    # A server that names an endpoint with a query, of any length.
    base = "http://127.0.0.1:9"
    metadata = {"issuer": base, "token_endpoint": f"{base}/{'t' * 999}?key=S3CR3T"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    odd = oauth_core.Client(server, client_id="id", client_secret="secret")
    with pytest.raises(oauth_core.LostError) as lost:
        odd.client_credentials().token()
    assert lost.value.url is not None and lost.value.url.startswith(f"{base}/ttt")
    assert len(lost.value.url) == 300 and "\n" not in str(lost.value)
    for text in (str(lost.value), repr(lost.value), str(vars(lost.value))):
        assert "S3CR3T" not in text
    # For an API only the origin is shown.
    source = client.client_credentials()
    with pytest.raises(oauth_core.LostError) as api:
        oauth_core.Api(source, origins=[base]).get(f"{base}/private/path?q=1")
    assert api.value.url == base and "private" not in str(api.value)


def test_a_server_that_never_responds_is_reported_as_lost(generic: Twin) -> None:
    client = generic_client(generic, timeout=0.3)
    generic.fault("slow_body", millis_per_byte=60_000)
    with pytest.raises(oauth_core.LostError):
        client.client_credentials().token()


def test_a_resource_response_that_never_ends_is_reported_as_lost(
    generic: Twin, client: oauth_core.Client, plain: Start
) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "10")
        handler.end_headers()
        handler.wfile.write(b"x")
        ended.wait(20)

    ended = threading.Event()
    api = plain(trickle)
    source = client.client_credentials()
    with pytest.raises(oauth_core.LostError):
        source.get(api.base, origins=[api.base], timeout=0.3)
    ended.set()
    assert generic.counters["token_requests"] == 1


def test_a_refused_refresh_advises_to_reauthorize(generic: Twin) -> None:
    client = generic_client(generic, public=True)
    flow = client.authorize(redirect_uri=CALLBACK, scope="read offline_access")
    tokens = client.redeem(flow, approve(flow.url))
    client.refresh(tokens=tokens)
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.refresh(tokens=tokens)
    error = caught.value
    assert (error.code, error.advice, error.status) == ("denied.invalid_grant", "reauthorize", 400)
    assert error.error == "invalid_grant" and error.endpoint == "token"


def test_a_token_is_sent_to_its_origins_only(
    generic: Twin, client: oauth_core.Client, plain: Start
) -> None:
    thief = plain(reply(200))
    source = client.client_credentials()
    with pytest.raises(oauth_core.MisuseError) as caught:
        source.get(thief.base, origins=[generic.base])
    assert caught.value.code == "resource.origin_not_allowed"
    assert thief.seen == [] and generic.counters["token_requests"] == 0
    with pytest.raises(oauth_core.MisuseError):
        source.get(f"{generic.base}/api/echo")  # no preset, so no origin is known
    api = plain(reply(302, location=f"{thief.base}/"))
    assert source.get(api.base, origins=[api.base]).status == 302
    assert thief.seen == []


def test_stored_tokens_without_a_member_are_rejected_by_its_name() -> None:
    with pytest.raises(oauth_core.MisuseError, match=r": client_id is missing \["):
        oauth_core.Tokens.deserialize('{"version":1,"issuer":"https://as.example"}')


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: oauth_core.provider("uservois"), "provider.unknown"),
        (lambda: oauth_core.provider("uservoice"), "provider.variable"),
        (lambda: oauth_core.discover("http://as.example"), "issuer.not_https"),
        (lambda: oauth_core.Server.from_metadata("https://a.example", "[]"), "misuse.metadata"),
        (lambda: oauth_core.Server.from_metadata("https://a.example", "{"), "misuse.metadata"),
        (lambda: oauth_core.Tokens.deserialize("{}"), "stored.malformed"),
        (lambda: oauth_core.PendingAuthorization.deserialize("nonsense"), "stored.malformed"),
        (lambda: client_at("http://127.0.0.1:9").client_credentials(scope='"'), "scope.syntax"),
        (
            lambda: client_at("http://127.0.0.1:9").authorize(redirect_uri="http://a.example"),
            "redirect_uri.refused",
        ),
    ],
)
def test_misuse_is_reported_with_its_code(call: Callable[[], object], code: str) -> None:
    with pytest.raises(oauth_core.OAuthError) as caught:
        call()
    assert caught.value.code == code


def test_wrong_arguments_raise_type_and_value_errors(client: oauth_core.Client) -> None:
    wrong: list[tuple[type[Exception], Callable[[], object]]] = [
        (ValueError, lambda: oauth_core.discover("https://a.example", transport="http")),  # type: ignore[arg-type]
        (ValueError, lambda: oauth_core.discover("https://a.example", timeout=0)),
        (ValueError, lambda: oauth_core.discover("https://a.example", timeout=float("nan"))),
        (TypeError, lambda: client.revoke(token="x", token_type_hint="id_token")),  # type: ignore[arg-type]
        (TypeError, lambda: client.authorize(redirect_uri=CALLBACK, response_mode="x")),  # type: ignore[arg-type]
        (TypeError, lambda: client.authorize(CALLBACK)),  # type: ignore[call-arg]
        (
            TypeError,
            lambda: oauth_core.Client(  # type: ignore[call-overload]
                client.server, client_id="id", client_secret="a", client_auth=oauth_core.Public()
            ),
        ),
    ]
    for kind, call in wrong:
        with pytest.raises(kind):
            call()


@pytest.mark.parametrize(
    ("arrived", "code"),
    [
        ({"context": "tool-b", "user": "user-1"}, "callback.context"),
        ({"context": "tool-a", "user": "user-2"}, "callback.user"),
        ({"context": "tool-a"}, "callback.user"),
        ({}, "callback.context"),
    ],
)
def test_a_callback_in_another_context_or_for_another_user_is_rejected(
    generic: Twin, arrived: dict[str, str], code: str
) -> None:
    client = generic_client(generic, public=True)
    flow = client.authorize(redirect_uri=CALLBACK, context="tool-a", user="user-1")
    assert "tool-a" not in flow.url and "user-1" not in flow.url and "user-1" not in repr(flow)
    restored = oauth_core.PendingAuthorization.deserialize(flow.serialize())
    callback = approve(flow.url)
    before = generic.counters["token_requests"]
    with pytest.raises(oauth_core.UntrustedError) as caught:
        client.redeem(restored, callback, **arrived)
    assert (caught.value.code, caught.value.advice) == (code, "give_up")
    assert generic.counters["token_requests"] == before
    # In the original context the same callback is accepted.
    assert client.redeem(flow, callback, context="tool-a", user="user-1").access_token


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_a_rejected_s256_challenge_is_not_retried_without_pkce(generic: Twin, way: str) -> None:
    """A PKCE downgrade: nothing is tried without the challenge, or with a plain one."""
    client = generic_client(generic, public=True)
    generic.fault("refused_s256")

    def authorize_queries() -> list[dict[str, str]]:
        return [dict(entry["query"]) for entry in generic.log if entry["path"] == "/authorize"]

    tokens, before = generic.counters["token_requests"], len(authorize_queries())
    with pytest.raises(oauth_core.DeniedError) as caught:
        if way == "asyncio":
            asyncio.run(oauth_core.alogin(client, scope="read", open=browse, timeout=30))
        else:
            oauth_core.login(client, scope="read", open=browse, timeout=30)
    assert caught.value.code == "denied.invalid_request"
    (once,) = authorize_queries()[before:]
    assert once["code_challenge_method"] == "S256"
    assert generic.counters["token_requests"] == tokens
    # The server would have accepted the next one.
    assert oauth_core.login(client, scope="read", open=browse, timeout=30).access_token


def test_concurrent_users_with_different_scopes_get_their_own_tokens(
    generic: Twin, client: oauth_core.Client
) -> None:
    """Through one client, while tokens are renewed, from threads and an event loop."""
    grants = oauth_core.Grants(client, MemoryStore())
    owners = [(name, scope) for name in ("alice", "bob") for scope in ("read", "read write")]
    for name, scope in owners:
        generic.add_person(name)
        requested_scope = f"openid offline_access {scope}"
        flow = client.authorize(redirect_uri=CALLBACK, scope=requested_scope, login_hint=name)
        grants.log_in(name, client.redeem(flow, approve(flow.url)), scope=scope)
    seen: dict[str, set[tuple[str, str]]] = {}
    url, origins = f"{generic.base}/api/echo", [generic.base]

    def check(owner: tuple[str, str], tokens: oauth_core.Tokens, response_body: bytes) -> None:
        name, scope = owner
        assert json.loads(response_body)["sub"] == name
        assert ("write" in tokens.scope) == ("write" in scope)
        seen.setdefault(tokens.access_token, set()).add(owner)

    def call(at: int) -> None:
        owner = owners[at % 4]
        source = grants.get(owner[0], scope=owner[1])
        tokens = source.token()
        if 4 <= at < 8:
            tokens = source.renew(tokens)
        check(owner, tokens, source.get(url, origins=origins).content)

    async def acall(at: int) -> None:
        owner = owners[at % 4]
        source = grants.get(owner[0], scope=owner[1])
        tokens = await source.atoken()
        if 4 <= at < 8:
            tokens = await source.arenew(tokens)
        check(owner, tokens, (await source.aget(url, origins=origins)).content)

    async def all_at_once() -> None:
        await asyncio.gather(*(acall(at) for at in range(32)))

    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(call, at) for at in range(32)]
        asyncio.run(all_at_once())
        for done in calls:
            done.result()
    assert len(seen) >= len(owners)
    assert all(len(whose) == 1 for whose in seen.values()), seen
