"""For API servers: opaque tokens, verified by introspection."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from conftest import Answer, StubServer, Twin, reply, server_at
from test_identity import API, client_of

import oauth_core

Verifier = oauth_core.AccessTokenVerifier
# The thumbprint of the certificate of the vector mtls-cnf-mismatch.
THUMBPRINT = "LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE"
GOOD = {"active": True, "client_id": "c", "sub": "u", "aud": API, "scope": "read"}


def introspection_reply(members: dict[str, Any]) -> Answer:
    return reply(200, json.dumps(members).encode(), content_type="application/json")


def api_at(plain: StubServer, **options: Any) -> Verifier:
    auth = oauth_core.ClientSecretBasic("hunter22")
    client = oauth_core.Client(server_at(plain.base), client_id="api", client_auth=auth)
    return Verifier.introspecting(client, audience=API, **options)


def refused(verifier: Verifier, token: str, **needs: Any) -> tuple[Any, ...]:
    with pytest.raises(oauth_core.OAuthError) as raised:
        verifier.verify(token, **needs)
    return raised.value.code, raised.value.response_status, raised.value.challenge


def test_an_api_introspects_opaque_tokens_and_caches_responses_if_configured(oidc: Any) -> None:
    client = client_of(oidc, "basic")
    token = client.client_credentials(scope="read").token().access_token
    asks = Verifier.introspecting(client, audience=API, scope="read", realm="api")
    keeps = Verifier.introspecting(client, audience=API, cache_max_age=60, cache_entries=10)
    for verifier in (asks, keeps):
        told = verifier.verify(token)
        assert isinstance(told, oauth_core.VerifiedAccessToken)
        assert (told.issuer, told.client_id) == (oidc["issuer"], client.client_id)
        assert "read" in told.scope and told.expires_at and told.expires_at > datetime.now(timezone.utc)
    assert asyncio.run(asks.averify(token)).client_id == client.client_id
    assert refused(asks, token, scope=["admin"]) == (
        "access_token.insufficient_scope",
        403,
        'Bearer realm="api", error="insufficient_scope", scope="admin"',
    )
    client.revoke(token=token)
    assert keeps.verify(token).client_id == client.client_id
    for dead in (token, "made-up"):
        expected = ("access_token.inactive", 401, 'Bearer realm="api", error="invalid_token"')
        assert refused(asks, dead) == expected


def test_only_signed_introspection_responses_are_accepted_if_required(oidc: Any) -> None:
    client = client_of(oidc, "introspection-signed")
    token = client.client_credentials(scope="read").token().access_token
    signed = Verifier.introspecting(client, audience=API, signed_response_alg="ES256")
    assert signed.verify(token).client_id == client.client_id
    assert refused(signed, "made-up")[:2] == ("access_token.inactive", 401)
    # A malformed introspection response does not make the token invalid.
    other = Verifier.introspecting(client, audience=API, signed_response_alg="RS256")
    assert refused(other, token) == ("jws.alg_not_allowed", 503, None)


def test_a_signed_introspection_response_is_verified(twins: dict[str, Twin]) -> None:
    """FAPI 2.0 Message Signing asks that of APIs."""
    bank = twins["fapi"]
    client = oauth_core.Client(
        oauth_core.discover(bank.base, transport="loopback_http"),
        client_id=bank.data["client_id"],
        client_auth=oauth_core.PrivateKeyJwt(bank.data["client_key"]),
        dpop_key=oauth_core.DpopKey.generate(),
    )
    token = client.client_credentials(scope="read").token()

    def ask(token: str, alg: str = "PS256") -> oauth_core.IntrospectionResponse:
        return client.introspect(token=token, signed_response_alg=alg)

    def code(token: str, alg: str = "PS256") -> str:
        with pytest.raises(oauth_core.OAuthError) as raised:
            ask(token, alg)
        return raised.value.code

    told = ask(token.access_token)
    assert (told.active, told.client_id, told.scope) == (True, client.client_id, token.scope)
    assert not ask("never issued").active
    # The metadata announces no others.
    assert code(token.access_token, "ES256") == "introspection.alg_not_supported"
    # A page in place of the response is not believed.
    bank.fault("html")
    assert code(token.access_token) == "reply.content_type"


def test_the_client_is_the_subject_only_if_no_member_of_the_answer_shows_a_user(
    plain: Callable[[Answer], StubServer],
) -> None:
    users: list[dict[str, Any]] = [{"username": "al"}, {"email": "al@example.com"}, {"acr": "1"}, {"scope": "openid"}]
    for member in users:
        unnamed = {"active": True, "client_id": "c", **member}
        told = refused(api_at(plain(introspection_reply(unnamed))), "t")
        assert told == ("jwt.missing_claim", 401, 'Bearer error="invalid_token"'), member
        assert api_at(plain(introspection_reply({**unnamed, "sub": "u"}))).verify("t").subject == "u"
    server = plain(introspection_reply({"active": True, "client_id": "c"}))
    verified = api_at(server).verify("t")
    assert (verified.subject, verified.client_id, verified.expires_at) == ("c", "c", None)
    assert dict(verified.claims) == {"client_id": "c", "iss": server.base}


def test_a_list_of_scopes_and_times_as_text_are_read(plain: Callable[[Answer], StubServer]) -> None:
    end = int(datetime.now(timezone.utc).timestamp()) + 300
    answer = introspection_reply({**GOOD, "scope": ["read", "write"], "exp": str(end)})
    verified = api_at(plain(answer)).verify("t", scope="write")
    assert set(verified.scope) == {"read", "write"}
    assert verified.expires_at == datetime.fromtimestamp(end, timezone.utc)


def test_concurrent_verifications_of_one_token_send_one_request(plain: Callable[[Answer], StubServer]) -> None:
    asked, all_began = threading.Event(), threading.Event()
    answer = introspection_reply(GOOD)

    def late(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        assert all_began.wait(30)
        answer(handler)

    server = plain(late)
    verifier = api_at(server, cache_max_age=60)

    async def verify_concurrently() -> None:
        first = asyncio.ensure_future(verifier.averify("t"))
        assert await asyncio.to_thread(asked.wait, 30)
        others = [asyncio.ensure_future(verifier.averify("t")) for _ in range(5)]
        await asyncio.sleep(0)
        all_began.set()
        assert {one.subject for one in await asyncio.gather(first, *others)} == {"u"}

    asyncio.run(verify_concurrently())
    [(method, path, headers, body)] = server.seen
    assert (method, path) == ("POST", "/introspect")
    assert headers["authorization"].startswith("Basic ")
    assert body == b"token=t&token_type_hint=access_token"


def test_each_verification_is_a_request_if_nothing_is_cached(plain: Callable[[Answer], StubServer]) -> None:
    server = plain(introspection_reply(GOOD))
    asks, keeps = api_at(server), api_at(server, cache_max_age=60, cache_entries=1)
    for _ in range(2):
        asks.verify("t")
    assert len(server.seen) == 2
    for _ in range(2):
        keeps.verify("t")
    assert len(server.seen) == 3
    # One answer is remembered, and no more: of two tokens in turn, one at least is asked about again.
    for token in ("another", "t", "another"):
        keeps.verify(token)
    assert len(server.seen) >= 5
    assert refused(keeps, "t", jkt="k")[0] == "access_token.proof_required"


@pytest.mark.parametrize("options", [{}, {"cache_max_age": 60}])
def test_a_certificate_bound_token_is_accepted_only_with_its_certificate(
    plain: Callable[[Answer], StubServer], options: dict[str, Any]
) -> None:
    """RFC 8705 section 3.2: the server says to which certificate a token is bound."""
    bound = {**GOOD, "cnf": {"x5t#S256": THUMBPRINT}}
    verifier = api_at(plain(introspection_reply(bound)), **options)
    assert verifier.verify("t", x5t_s256=THUMBPRINT).subject == "u"
    for shown in ({"x5t_s256": THUMBPRINT[::-1]}, {"jkt": THUMBPRINT}, {}):
        assert refused(verifier, "t", **shown)[0] == "access_token.proof_required"


def test_a_failed_introspection_request_is_not_reported_as_an_invalid_token(
    plain: Callable[[Answer], StubServer],
) -> None:
    denying = api_at(plain(reply(401, b'{"error":"invalid_client"}')), cache_max_age=60)
    assert refused(denying, "t") == ("denied.invalid_client", 503, None)
    unsigned = api_at(plain(introspection_reply(GOOD)), signed_response_alg="ES256")
    assert refused(unsigned, "t") == ("introspection.not_signed", 503, None)
    cut = api_at(plain(introspection_reply({**GOOD, "extra": "x" * (300 << 10)})), cache_max_age=60)
    assert refused(cut, "t") == ("introspection.malformed", 503, None)


def test_a_token_that_no_header_can_carry_is_rejected_without_introspection(
    plain: Callable[[Answer], StubServer],
) -> None:
    server = plain(reply(400, b'{"error":"invalid_request"}'))
    for token in ("", "a b", "a\r\nX: y", "t\u00f6ken"):
        answer = 'Bearer error="invalid_token"'
        assert refused(api_at(server), token) == ("access_token.malformed", 401, answer)
    assert server.seen == []


def test_introspection_runs_without_a_transport(plain: Callable[[Answer], StubServer]) -> None:
    server = plain(introspection_reply(GOOD))
    verifier = api_at(server, cache_max_age=60)
    exchange, second = verifier.verify_exchange("t"), verifier.verify_exchange("t")
    introspection_request = next(exchange)
    assert isinstance(introspection_request, oauth_core.Send)
    assert introspection_request.url == f"{server.base}/introspect"
    assert isinstance(next(second), oauth_core.Sleep)
    with pytest.raises(StopIteration) as done:
        exchange.send((200, [("content-type", "application/json")], json.dumps(GOOD).encode()))
    with pytest.raises(StopIteration) as same:
        next(second)
    assert done.value.value == same.value.value and server.seen == []


MISTYPED: list[dict[str, Any]] = [
    {"scopes": "read"},
    {"algs": ["ES256"]},
    {"profile": "okta"},
    {"jkt": "k"},
]
NOT_OF_A_CALL: list[dict[str, Any]] = [{"scopes": None}, {"audience": "a"}, {"realm": "r"}]
UNUSABLE: list[tuple[str, dict[str, Any]]] = [
    ("arguments.inconsistent", {"cache_entries": 10}),
    ("arguments.inconsistent", {"signed_response_audience": "api"}),
    ("key.algorithm", {"signed_response_alg": "XS256"}),
]


def test_mistyped_options_are_rejected(plain: Callable[[Answer], StubServer]) -> None:
    server = plain(introspection_reply(GOOD))
    for wrong in MISTYPED:
        with pytest.raises(TypeError, match=next(iter(wrong))):
            api_at(server, **wrong)
    verifier = api_at(server)
    for wrong in NOT_OF_A_CALL:
        with pytest.raises(TypeError, match=next(iter(wrong))):
            verifier.verify("t", **wrong)
    with pytest.raises(TypeError, match="cache_max_age"):
        api_at(server, cache_max_age="long")
    for code, options in UNUSABLE:
        with pytest.raises(oauth_core.MisuseError) as raised:
            api_at(server, **options)
        assert raised.value.code == code
    assert server.seen == []
