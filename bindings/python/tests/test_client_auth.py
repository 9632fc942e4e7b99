"""Client authentication methods: what is sent, what is rejected, and what is never shown."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import parse_qs

import pytest
from conftest import Twin

import oauth_core

ISSUER = "https://as.example"
NOW = 1_750_000_000


def server(**more: Any) -> oauth_core.Server:
    metadata = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token", **more}
    return oauth_core.Server.from_metadata(ISSUER, metadata)


def token(**claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    # A token without exp is rejected (RFC 7523 section 3): a stolen one could be used forever.
    claims = {"exp": 4_000_000_000, **claims}
    return f"{part({'alg': 'ES256'})}.{part({k: v for k, v in claims.items() if v is not None})}.c2ln"


def body(auth: oauth_core.ClientAuth, **more: Any) -> str:
    """The form that a client sends."""
    client = oauth_core.Client(server(**more), client_id="me", client_auth=auth)
    exchange = client.exchange.client_credentials(moment=lambda: (NOW, b"x" * 32))
    step = next(exchange)
    assert isinstance(step, oauth_core.Send)
    assert "authorization" not in dict(step.headers)
    return bytes(step.body).decode()


def code_of(auth: oauth_core.ClientAuth, **more: Any) -> str:
    with pytest.raises(oauth_core.OAuthError) as caught:
        body(auth, **more)
    return caught.value.code


def test_a_workload_token_is_read_again_for_each_request(tmp_path: Path) -> None:
    place = tmp_path / "token"
    auth = oauth_core.FederatedAssertion(place)
    assert code_of(auth) == "lost.unsent"
    first, second = token(aud=ISSUER, sub="a"), token(aud=[ISSUER], sub="b")
    place.write_text(first + "\n")
    assert first in body(auth) and "client_id" not in body(auth)
    place.write_text(second)
    assert second in body(auth)
    named = oauth_core.FederatedAssertion(place, client_id="sent")
    assert "client_id=me" in body(named)
    assert str(place) not in repr(auth)


def test_a_function_provides_the_workload_token() -> None:
    assert token(aud="api://x") in body(
        oauth_core.FederatedAssertion(lambda _: token(aud="api://x"), audience="api://x")
    )

    def raise_lookup_error(_: object) -> str:
        raise LookupError("no token today")

    with pytest.raises(LookupError, match="no token today"):
        body(oauth_core.FederatedAssertion(raise_lookup_error))


def test_the_function_receives_the_audience_and_expiry() -> None:
    told: list[oauth_core.AssertionRequest] = []

    def made(request: oauth_core.AssertionRequest) -> str:
        told.append(request)
        return token(aud=request.audience, exp=int(request.expires_at.timestamp()))

    assert token(aud=ISSUER, exp=NOW + 60) in body(oauth_core.FederatedAssertion(made))
    assert token(aud="api://x", exp=NOW + 60) in body(
        oauth_core.FederatedAssertion(made, audience="api://x")
    )
    assert [request.audience for request in told] == [ISSUER, "api://x"]
    assert repr(told[0]) == f'AssertionRequest("{ISSUER}", until {NOW + 60})'


async def made_by_a_coroutine(request: oauth_core.AssertionRequest) -> str:
    await asyncio.sleep(0)
    return token(aud=request.audience)


def test_a_token_without_expiry_is_rejected_and_the_error_names_its_source(tmp_path: Path) -> None:
    """RFC 7523 section 3."""
    place = tmp_path / "token"
    place.write_text(token(aud=ISSUER, exp=None))
    sources: list[tuple[Any, str]] = [(place, str(place)), (lambda _: token(aud=ISSUER, exp=None), "a callback")]
    for source, name in sources:
        with pytest.raises(oauth_core.MisuseError) as refused:
            body(oauth_core.FederatedAssertion(source))
        assert refused.value.code == "client_auth.assertion_malformed"
        assert f"the token of {name} has no exp" in str(refused.value)


def test_the_token_of_a_function_or_file_is_exchanged_if_an_exchange_audience_is_set(tmp_path: Path) -> None:
    """RFC 8693: the workload's token is the subject token of an exchange, not a client assertion."""
    place = tmp_path / "token"
    place.write_text("opaque")
    told: list[str] = []

    def made(request: oauth_core.AssertionRequest) -> str:
        told.append(request.audience)
        return "opaque"

    for source in (made, place):
        form = body(oauth_core.FederatedAssertion(source, exchange_audience="//pool"))
        assert "token-exchange" in form and "subject_token=opaque" in form and "audience=%2F%2Fpool" in form
        assert "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt" in form
        assert "client_id=me" in form and "client_assertion" not in form
    auth = oauth_core.FederatedAssertion(
        made, audience="api://x", exchange_audience="//pool", client_id="omitted"
    )
    assert "client_id" not in body(auth)
    assert told == ["//pool", "api://x"]
    with pytest.raises(ValueError, match="profile"):
        oauth_core.FederatedAssertion(made, profile="spiffe_jwt", exchange_audience="//pool")


def test_a_coroutine_function_provides_the_workload_token() -> None:
    auth = oauth_core.FederatedAssertion(made_by_a_coroutine)
    assert token(aud=ISSUER) in body(auth)

    async def run_by_own_driver() -> str:
        return body(auth)

    assert token(aud=ISSUER) in asyncio.run(run_by_own_driver())

    async def raise_lookup_error(_: object) -> str:
        raise LookupError("no token today")

    with pytest.raises(LookupError, match="no token today"):
        body(oauth_core.FederatedAssertion(raise_lookup_error))


@pytest.fixture
def recording_server() -> Iterator[tuple[str, list[str]]]:
    """A server that issues tokens to any client, and records the assertions it receives."""
    assertions: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            assertions.extend(form.get("client_assertion", []))
            answer = json.dumps({"access_token": "t", "token_type": "Bearer", "expires_in": 60})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}", assertions
    listening.shutdown()
    listening.server_close()


def test_a_token_function_may_wait_for_requests_of_another_client(recording_server: tuple[str, list[str]]) -> None:
    """The function does not run on the thread that sends the requests it waits for."""
    base, assertions = recording_server
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    known = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    other = oauth_core.Client(known, client_id="other")

    async def waits(request: oauth_core.AssertionRequest) -> str:
        assert (await other.apassword(username="u", password="p")).access_token == "t"
        return token(aud=request.audience, sub="coroutine")

    def blocks(request: oauth_core.AssertionRequest) -> str:
        assert other.password(username="u", password="p").access_token == "t"
        return token(aud=request.audience, sub="function")

    for source in (waits, blocks):
        auth = oauth_core.FederatedAssertion(source)
        client = oauth_core.Client(known, client_id="me", client_auth=auth)
        assert client.password(username="u", password="p").access_token == "t"
        both = asyncio.run(client.apassword(username="u", password="p"))
        assert both.access_token == "t"
    expected = [token(aud=base, sub=sub) for sub in ("coroutine", "function")]
    assert assertions == [expected[0]] * 2 + [expected[1]] * 2


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": "https://kubernetes"}, "client_auth.assertion_audience"),
        ({"aud": [ISSUER, "https://kubernetes"]}, "client_auth.assertion_audience"),
        ({"aud": ISSUER, "exp": NOW}, "client_auth.assertion_expired"),
        ({"aud": ISSUER, "exp": None}, "client_auth.assertion_malformed"),
        ({"aud": 7}, "client_auth.assertion_malformed"),
    ],
)
def test_a_token_with_unacceptable_claims_is_not_sent(claims: dict[str, Any], code: str) -> None:
    assert code_of(oauth_core.FederatedAssertion(lambda _: token(**claims))) == code


def test_a_client_with_tls_authentication_sends_only_its_client_id() -> None:
    for auth in (oauth_core.TlsClientAuth(), oauth_core.SelfSignedTlsClientAuth()):
        assert body(auth) == "grant_type=client_credentials&client_id=me"


def test_an_x509_svid_client_sends_its_spiffe_id_as_client_id() -> None:
    server = oauth_core.Server.from_metadata(ISSUER, {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"})

    def of(client_id: str) -> oauth_core.Client:
        return oauth_core.Client(server, client_id=client_id, client_auth=oauth_core.SpiffeX509())

    step = next(of("spiffe://example.org/worker").exchange.client_credentials())
    assert isinstance(step, oauth_core.Send)
    wanted = "grant_type=client_credentials&client_id=spiffe%3A%2F%2Fexample.org%2Fworker"
    assert step.body is not None and bytes(step.body).decode() == wanted
    with pytest.raises(oauth_core.OAuthError) as caught:
        of("worker")
    assert caught.value.code == "misuse.setup"


def test_an_unsuitable_key_is_rejected_before_a_request() -> None:
    with pytest.raises(oauth_core.MisuseError) as none:
        oauth_core.PrivateKeyJwt("no key")
    assert none.value.code == "key.malformed"
    with pytest.raises(oauth_core.UntrustedError) as small:
        oauth_core.ClientSecretJwt("short")
    assert small.value.code == "jws.key_too_small"
    accepted_algs = {"token_endpoint_auth_signing_alg_values_supported": ["PS256"]}
    long = oauth_core.ClientSecretJwt("a" * 32)
    assert code_of(long, **accepted_algs) == "key.algorithm"
    with pytest.raises(ValueError, match="profile"):
        oauth_core.FederatedAssertion("x", profile="x509")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        oauth_core.FederatedAssertion(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [None, b"-----BEGIN", 7, [None], ["key", 7]])
def test_an_invalid_key_is_reported_by_argument_name(key: Any) -> None:
    with pytest.raises(TypeError) as caught:
        oauth_core.PrivateKeyJwt(key)
    assert str(caught.value) == "key must be a private key as a str, or a list of them"


@pytest.mark.parametrize("origins", ["https://api.example", None, 7, [None]])
def test_invalid_origins_are_reported_by_argument_name(origins: Any) -> None:
    with pytest.raises(TypeError, match=r"origins'?:? (it )?must be a list of URLs, or a Server"):
        oauth_core.fixed_token("a-token", origins=origins)
    if origins is not None:
        source = oauth_core.fixed_token("a-token", origins=["https://api.example"])
        calls: list[Callable[..., object]] = [
            lambda **given: oauth_core.Api(source, **given),
            lambda **given: server().api(app=source, **given),
            a_source().resource,
            lambda **given: a_source().get("https://api.example", **given),
            lambda **given: a_source().apost("https://api.example", **given),
            lambda **given: a_source().request("GET", "https://api.example", **given),
        ]
        for call in calls:
            with pytest.raises(TypeError, match=r"origins'?:? (it )?must be a list of URLs"):
                call(origins=origins)


def a_source() -> oauth_core.GrantSource:
    return oauth_core.Client(server(), client_id="app").client_credentials()


@pytest.mark.parametrize("audience", [None, f"{ISSUER}/revoke"])
def test_the_configured_audience_also_applies_to_revocation_requests(twins: dict[str, Twin], audience: str | None) -> None:
    """A configured audience replaces the issuer (draft-ietf-oauth-security-topics-update 2.1)."""
    auth = oauth_core.PrivateKeyJwt(twins["fapi"].data["client_key"], audience=audience)
    at = server(revocation_endpoint=f"{ISSUER}/revoke")
    client = oauth_core.Client(at, client_id="me", client_auth=auth)
    step = next(client.exchange.revoke(token="t0ken", moment=lambda: (NOW, b"x" * 32)))
    assert isinstance(step, oauth_core.Send)
    assert step.url == f"{ISSUER}/revoke"
    (assertion,) = parse_qs(bytes(step.body).decode())["client_assertion"]
    claims = json.loads(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))
    # A string and not an array: there is exactly one audience.
    assert claims["aud"] == (audience or ISSUER)


def test_a_key_with_a_custom_audience_is_rejected_at_a_second_server(twins: dict[str, Twin]) -> None:
    """Otherwise one server could obtain assertions that another one accepts (RFC 10070)."""
    key = twins["fapi"].data["client_key"]

    def made(auth: oauth_core.ClientAuth, issuer: str) -> oauth_core.Client:
        metadata = {"issuer": issuer, "token_endpoint": f"{issuer}/token"}
        server = oauth_core.Server.from_metadata(issuer, metadata)
        return oauth_core.Client(server, client_id="me", client_auth=auth)

    first, second = ISSUER, "https://other.example"
    usual = oauth_core.PrivateKeyJwt(key)
    assert made(usual, first) and made(usual, second)
    own = oauth_core.PrivateKeyJwt(key, audience=f"{first}/token")
    # The first server may be used repeatedly.
    assert made(own, first) and made(own, first)
    with pytest.raises(oauth_core.MisuseError) as caught:
        made(own, second)
    assert caught.value.code == "key.used_at_two_servers"
