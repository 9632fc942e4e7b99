"""How an API server verifies requests, including the DPoP proofs of their tokens (RFC 9449)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Answer, StubServer, reply
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import oauth_core
import oauth_core.httpx
from oauth_core import stores

AUDIENCE = "https://api.example"
URL = "https://api.example/orders"


def encoded(part: object) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def hashed(text: str) -> str:
    return encoded(hashlib.sha256(text.encode()).digest())


class Key:
    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(32, "big")) for number in (point.x, point.y))
        self.jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self.dpop = oauth_core.DpopKey(pem)

    def sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        text = f"{encoded(header)}.{encoded(claims)}"
        r, s = decode_dss_signature(self.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


ISSUING, HOLDER, OTHER = Key(), Key(), Key()


def proof(token: str, *, key: Key = HOLDER, header: Any = None, claims: Any = None) -> str:
    """A proof for a token; members of header and claims replace or, if None, remove its own."""
    now = int(time.time())
    proof_claims = {"jti": secrets.token_hex(16), "htm": "GET", "htu": URL, "iat": now, "ath": hashed(token)}
    all_claims = {**proof_claims, **(claims or {})}
    all_header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk, **(header or {})}
    return key.sign(
        {name: value for name, value in all_header.items() if value is not None},
        {name: value for name, value in all_claims.items() if value is not None},
    )


class ApiServer:
    """A server that issues bound tokens for client credentials, and an API at the same address."""

    def __init__(self, plain: Callable[[Answer], StubServer], **options: Any) -> None:
        self.seen: list[str] = []
        self.base = plain(self.respond).base
        metadata = {"issuer": self.base, "jwks_uri": f"{self.base}/jwks", "token_endpoint": f"{self.base}/token"}
        self.server = oauth_core.Server.from_metadata(self.base, metadata, transport="loopback_http")
        self.verifier = self.other_verifier(dpop_algs=["ES256"], **options)
        self.client = oauth_core.Client(
            self.server, client_id="c", client_secret="s", dpop_key=HOLDER.dpop
        )

    def other_verifier(self, **options: Any) -> oauth_core.AccessTokenVerifier:
        return oauth_core.AccessTokenVerifier(self.server, audience=AUDIENCE, **options)

    def token(self, **more: Any) -> str:
        now = int(time.time())
        claims = {"iss": self.base, "aud": AUDIENCE, "sub": "u", "client_id": "c", "jti": "j"}
        claim_overrides = {"cnf": {"jkt": HOLDER.dpop.thumbprint}} | more
        times = {"iat": now, "exp": now + 60, "scope": "read"}
        header = {"typ": "at+jwt", "alg": "ES256", "kid": "1"}
        present_claims = {name: value for name, value in claim_overrides.items() if value is not None}
        return ISSUING.sign(header, {**claims, **times, **present_claims})

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        token_response = {"access_token": self.token(), "token_type": "DPoP", "expires_in": 60}
        documents = {"/jwks": {"keys": [{**ISSUING.jwk, "kid": "1", "alg": "ES256"}]}, "/token": token_response}
        if handler.path in documents:
            body = json.dumps(documents[handler.path]).encode()
            reply(200, body, content_type="application/json")(handler)
            return
        try:
            verified = self.verifier.verify_request(
                method=handler.command,
                url=f"{self.base}{handler.path}",
                authorization=handler.headers.get_all("authorization"),
                dpop=handler.headers.get_all("dpop"),
            )
        except oauth_core.OAuthError as error:
            self.seen.append(error.code)
            assert error.response_status is not None
            reply(error.response_status, b"", **error.response_headers)(handler)
        else:
            self.seen.append("ok")
            nonce = {} if verified.dpop_nonce is None else {"dpop_nonce": verified.dpop_nonce}
            reply(200, verified.subject.encode(), **nonce)(handler)

    def verify(self, authorization: Any, dpop: Any = None, **more: Any) -> oauth_core.VerifiedAccessToken:
        return self.verifier.verify_request(
            method="GET", url=URL, authorization=authorization, dpop=dpop, **more
        )

    def refusal(self, authorization: Any, dpop: Any = None, **more: Any) -> oauth_core.OAuthError:
        with pytest.raises(oauth_core.OAuthError) as raised:
            self.verify(authorization, dpop, **more)
        return raised.value


@pytest.fixture
def world(plain: Callable[[Answer], StubServer]) -> ApiServer:
    return ApiServer(plain)


def test_dpop_proofs_of_this_client_are_accepted_for_every_url_and_method(world: ApiServer) -> None:
    source = world.client.client_credentials(scope="read")
    for method, path in [
        ("GET", "/orders"),
        ("GET", "/orders?page=2"),
        ("GET", ""),
        ("GET", "/%7Eann/caf%c3%a9"),
        ("POST", "/orders"),
    ]:
        response = source.request(method, f"{world.base}{path}", origins=[world.base])
        assert (response.status, response.text) == (200, "u"), (path, world.seen)
    with httpx.Client(auth=oauth_core.httpx.Auth(source, origins=[world.base])) as http:
        assert http.get(f"{world.base}/a/./b").status_code == 200
    assert world.seen == ["ok"] * 6


def test_a_client_retries_with_the_nonce_that_the_api_requires_and_reuses_it(
    plain: Callable[[Answer], StubServer]
) -> None:
    world = ApiServer(plain, dpop_nonce_key=encoded(secrets.token_bytes(32)))
    source = world.client.client_credentials(scope="read")
    with httpx.Client(auth=oauth_core.httpx.Auth(source, origins=[world.base])) as http:
        for _ in range(3):
            assert http.get(f"{world.base}/orders").status_code == 200
    assert world.seen == ["dpop_proof.nonce", "ok", "ok", "ok"]


def test_a_proof_without_a_nonce_is_rejected_with_a_challenge_that_contains_one(plain: Callable[[Answer], StubServer]) -> None:
    key = secrets.token_bytes(32)
    world = ApiServer(plain, dpop_nonce_key=encoded(key))
    token = world.token()
    error = world.refusal(f"DPoP {token}", proof(token))
    assert (error.code, error.response_status) == ("dpop_proof.nonce", 401)
    assert error.challenge == 'DPoP error="use_dpop_nonce", algs="ES256", Bearer'
    assert sorted(error.response_headers) == ["dpop-nonce", "www-authenticate"]
    assert error.response_headers["www-authenticate"] == error.challenge
    nonce = error.response_headers["dpop-nonce"]
    # Another process of the same API accepts it, and one with another key does not.
    shown: dict[str, Any] = {"method": "GET", "url": URL, "authorization": f"DPoP {token}"}
    for same_key in (encoded(key), key):
        same = world.other_verifier(dpop_nonce_key=same_key)
        assert same.verify_request(**shown, dpop=proof(token, claims={"nonce": nonce})).dpop_nonce is None
    other = world.other_verifier(dpop_nonce_key=encoded(secrets.token_bytes(32)))
    with pytest.raises(oauth_core.UntrustedError) as raised:
        other.verify_request(**shown, dpop=proof(token, claims={"nonce": nonce}))
    assert raised.value.code == "dpop_proof.nonce"


def test_a_bound_token_is_accepted_with_a_valid_proof(world: ApiServer) -> None:
    token = world.token()
    verified = world.verify(f"dpop {token}", [proof(token)])
    assert (verified.subject, verified.dpop_nonce) == ("u", None)
    assert verified.dpop_replay_key is not None and len(verified.dpop_replay_key) == 43
    assert verified.dpop_forget_at is not None and verified.dpop_forget_at.timestamp() > time.time()
    bearer = world.verify(f"Bearer {world.token(cnf=None)}")
    assert (bearer.dpop_replay_key, bearer.dpop_forget_at) == (None, None)

    async def in_a_loop() -> oauth_core.VerifiedAccessToken:
        return await world.verifier.averify_request(
            method="GET", url=URL, authorization=f"DPoP {token}", dpop=proof(token), scope="read"
        )

    assert asyncio.run(in_a_loop()).subject == "u"


def by_shared_secret(token: str) -> str:
    text = proof(token, header={"alg": "HS256"}).rpartition(".")[0]
    mac = hmac.digest(json.dumps(HOLDER.jwk).encode(), text.encode(), "sha256")
    return f"{text}.{encoded(mac)}"


def with_claims(**claims: Any) -> Callable[[str], Any]:
    return lambda token: proof(token, claims=claims)


def with_header(**header: Any) -> Callable[[str], Any]:
    return lambda token: proof(token, header=header)


def made(seconds: int) -> Callable[[str], Any]:
    return lambda token: proof(token, claims={"iat": int(time.time()) + seconds})


@pytest.mark.parametrize(
    ("flawed", "code"),
    [
        pytest.param(lambda _: None, "dpop_proof.missing", id="missing"),
        pytest.param(lambda _: [], "dpop_proof.missing", id="no field"),
        pytest.param(lambda token: [proof(token), proof(token)], "dpop_proof.duplicate", id="two fields"),
        pytest.param(lambda token: f"{proof(token)},{proof(token)}", "dpop_proof.duplicate", id="joined"),
        pytest.param(lambda _: "proof", "dpop_proof.malformed", id="not a JWT"),
        pytest.param(with_claims(x="x" * 20_000), "dpop_proof.malformed", id="too long"),
        pytest.param(with_header(typ=None), "dpop_proof.typ", id="no typ"),
        pytest.param(with_header(typ="JWT"), "dpop_proof.typ", id="another typ"),
        pytest.param(with_header(alg="none"), "dpop_proof.alg", id="not signed"),
        pytest.param(by_shared_secret, "dpop_proof.alg", id="shared secret"),
        pytest.param(with_header(alg="ES384"), "dpop_proof.alg", id="alg that is not listed"),
        pytest.param(with_header(jwk=None), "dpop_proof.jwk", id="no jwk"),
        pytest.param(with_header(jwk={**HOLDER.jwk, "d": "AAAA"}), "dpop_proof.jwk", id="private jwk"),
        pytest.param(with_header(jwk={"kty": "oct", "k": "AAAA"}), "dpop_proof.jwk", id="shared jwk"),
        pytest.param(with_header(jwk=OTHER.jwk), "dpop_proof.signature", id="signature"),
        pytest.param(with_claims(jti=None), "dpop_proof.missing_claim", id="no jti"),
        pytest.param(with_claims(htm=None), "dpop_proof.missing_claim", id="no htm"),
        pytest.param(with_claims(htu=None), "dpop_proof.missing_claim", id="no htu"),
        pytest.param(with_claims(iat=None), "dpop_proof.missing_claim", id="no iat"),
        pytest.param(with_claims(htm="POST"), "dpop_proof.htm", id="another method"),
        pytest.param(with_claims(htu=f"{URL}/1"), "dpop_proof.htu", id="another path"),
        pytest.param(with_claims(htu="https://other.example/orders"), "dpop_proof.htu", id="another host"),
        pytest.param(with_claims(ath=None), "dpop_proof.ath", id="no ath"),
        pytest.param(with_claims(ath=hashed("other")), "dpop_proof.ath", id="another token"),
        pytest.param(made(-122), "dpop_proof.iat", id="too old"),
        pytest.param(made(65), "dpop_proof.iat", id="in the future"),
        pytest.param(lambda token: proof(token, key=OTHER), "access_token.proof_required", id="another key"),
    ],
)
def test_a_flawed_proof_is_rejected(world: ApiServer, flawed: Callable[[str], Any], code: str) -> None:
    token = world.token()
    dpop = flawed(token)
    error = world.refusal(f"DPoP {token}", dpop)
    assert (error.code, error.response_status) == (code, 401)
    named = "invalid_dpop_proof" if code.startswith("dpop_proof") else "invalid_token"
    challenge = f'DPoP error="{named}", algs="ES256", Bearer'
    assert error.response_headers == {"www-authenticate": challenge}
    fields = [dpop] if isinstance(dpop, str) else dpop or []
    for secret in [token, hashed(token), *(field for field in fields if len(field) > 9)]:
        assert secret not in f"{error} {error!r}"
    # The token itself remains valid.
    assert world.verify(f"DPoP {token}", proof(token)).subject == "u"


def test_a_replayed_proof_is_rejected(world: ApiServer) -> None:
    token = world.token()
    shown = proof(token)

    def verdict(_: int) -> str:
        try:
            return world.verify(f"DPoP {token}", shown).subject
        except oauth_core.UntrustedError as error:
            return error.code

    with ThreadPoolExecutor(8) as threads:
        verdicts = sorted(threads.map(verdict, range(20)))
    assert verdicts == ["dpop_proof.replayed"] * 19 + ["u"]
    # A verifier that detects replays itself returns no replay challenge.
    assert world.verify(f"DPoP {token}", proof(token)).dpop_replay_challenge is None


def one_in_memory(_: Path) -> Callable[[], stores.MemoryStore]:
    store = stores.MemoryStore()
    return lambda: store


@pytest.mark.parametrize(
    "opener",
    [
        pytest.param(one_in_memory, id="MemoryStore"),
        pytest.param(lambda folder: lambda: stores.FileStore(folder / "proofs"), id="FileStore"),
        pytest.param(lambda folder: lambda: stores.SqliteStore(folder / "proofs.db"), id="SqliteStore"),
    ],
)
def test_a_proof_is_accepted_once_across_processes_that_share_a_store(
    world: ApiServer, tmp_path: Path, opener: Callable[[Path], Callable[[], Any]]
) -> None:
    opened = opener(tmp_path)
    # A verifier and a store for each process.
    processes = [(world.other_verifier(dpop_algs=["ES256"], dpop_replay="caller"), opened()) for _ in "1234"]
    token = world.token()
    request: dict[str, Any] = {"method": "GET", "url": URL, "authorization": f"DPoP {token}"}

    def verdict(number: int) -> tuple[int, str | None]:
        verifier, store = processes[number % 4]
        verified = verifier.verify_request(**request)
        saved = store.save(f"dpop-proof:{verified.dpop_replay_key}", "received", 0, until=verified.dpop_forget_at)
        return (401, verified.dpop_replay_challenge) if saved is None else (200, None)

    challenge = 'DPoP error="invalid_dpop_proof", algs="ES256", Bearer'
    for _ in "12":
        request["dpop"] = proof(token)
        with ThreadPoolExecutor(8) as threads:
            verdicts = sorted(threads.map(verdict, range(8)))
        assert verdicts == [(200, None), *[(401, challenge)] * 7]


def with_jwk(**jwk: str) -> Callable[[str], Any]:
    return with_header(jwk={**HOLDER.jwk, **jwk})


def with_signature(signature: bytes) -> Callable[[str], Any]:
    return lambda token: f"{proof(token).rpartition('.')[0]}.{encoded(signature)}"


RSA_JWK = {"kty": "RSA", "n": encoded(b"\xff" * 256), "e": encoded(b"\xff" * 8)}


@pytest.mark.parametrize(
    "flawed",
    [
        pytest.param(with_jwk(y=HOLDER.jwk["x"]), id="a point off the curve"),
        pytest.param(with_jwk(x=encoded(bytes(32)), y=encoded(bytes(32))), id="coordinates of zero"),
        pytest.param(with_jwk(x=encoded(b"\xff" * 32)), id="a coordinate beyond the field"),
        pytest.param(with_signature(b""), id="no signature"),
        pytest.param(with_signature(bytes(64)), id="a signature of zeros"),
        pytest.param(with_signature(b"\x01" * 63), id="a short signature"),
        pytest.param(with_header(alg="Ed25519", jwk={"kty": "OKP", "crv": "Ed25519", "x": encoded(b"\x02" * 32)}), id="not a point"),
        pytest.param(with_header(alg="PS256", jwk=RSA_JWK), id="an exponent of eight bytes"),
        pytest.param(with_header(alg="RS256", jwk={**RSA_JWK, "e": "AQAB"}), id="a modulus that is no product"),
    ],
)
def test_an_unusable_key_or_signature_is_rejected_with_401(
    world: ApiServer, flawed: Callable[[str], Any]
) -> None:
    token = world.token()
    verifier = world.other_verifier()
    with pytest.raises(oauth_core.UntrustedError) as raised:
        verifier.verify_request(method="GET", url=URL, authorization=f"DPoP {token}", dpop=flawed(token))
    assert (raised.value.code, raised.value.response_status) == ("dpop_proof.signature", 401)


def test_a_bound_token_is_rejected_as_bearer_and_an_unbound_one_with_a_proof(world: ApiServer) -> None:
    token = world.token()
    for dpop in [None, proof(token)]:
        error = world.refusal(f"Bearer {token}", dpop)
        assert error.code == "access_token.proof_required"
        assert error.challenge == 'Bearer error="invalid_token", DPoP algs="ES256"'
    unbound = world.token(cnf=None)
    assert world.verify(f"Bearer {unbound}").subject == "u"
    assert world.refusal(f"DPoP {unbound}", proof(unbound)).code == "access_token.proof_required"
    certified = world.token(cnf={"x5t#S256": "print"})
    assert world.verify(f"Bearer {certified}", x5t_s256="print").subject == "u"
    for more in ({}, {"x5t_s256": "other"}):
        assert world.refusal(f"Bearer {certified}", **more).code == "access_token.proof_required"


def test_a_request_without_a_token_is_rejected_with_a_challenge(world: ApiServer) -> None:
    authorizations: list[Any] = [None, [], "Basic dTpw", world.token()]
    for authorization in authorizations:
        error = world.refusal(authorization)
        assert (error.code, error.response_status) == ("access_token.missing", 401)
        assert error.challenge == 'Bearer, DPoP algs="ES256"'
    bearer = f"Bearer {world.token(cnf=None)}"
    twice = world.refusal([bearer, bearer])
    assert (twice.code, twice.response_status) == ("access_token.duplicate", 400)
    scope = world.refusal(bearer, scope="admin")
    assert (scope.code, scope.response_status) == ("access_token.insufficient_scope", 403)


def test_invalid_options_and_arguments_are_rejected_at_startup_if_possible(world: ApiServer) -> None:
    for key in ("short", b"", bytes(31), bytes(33)):
        with pytest.raises(oauth_core.MisuseError) as raised:
            world.other_verifier(dpop_nonce_key=key)
        assert raised.value.code == "key.sealing"
    # If no algorithm were left, either every algorithm would be accepted or no token at all.
    for algs in (["HS256"], ["ES256", "HS256"], ["XS256"], ["none"], []):
        for named in ({"dpop_algs": algs}, {"algs": algs}):
            with pytest.raises(oauth_core.MisuseError) as raised:
                world.other_verifier(**named)
            assert raised.value.code == "form.malformed_parameter"
    mistakes: list[dict[str, Any]] = [{"dpop_max_age": "1"}, {"dpop_replay": "never"}, {"dpop_nonce_keys": []}]
    for wrong in mistakes:
        with pytest.raises(TypeError):
            world.other_verifier(**wrong)
    for more in ({"jkt": "k"}, {"scopes": "read"}):
        with pytest.raises(TypeError):
            world.verify("Bearer x", **more)
    with pytest.raises(TypeError):
        world.verify([1])
    token = world.token()
    request: dict[str, Any] = {"method": "GET", "authorization": f"DPoP {token}", "dpop": proof(token)}
    with pytest.raises(oauth_core.MisuseError) as raised:
        world.verifier.verify_request(**request, url="/orders")
    error = raised.value
    assert (error.code, error.response_status, error.response_headers) == ("url.syntax", 500, {})


def test_opaque_dpop_bound_tokens_require_a_valid_proof(plain: Callable[[Answer], StubServer]) -> None:
    active = {"active": True, "client_id": "c", "sub": "u", "token_type": "DPoP"}
    bound = {**active, "cnf": {"jkt": HOLDER.dpop.thumbprint}}
    base = plain(reply(200, json.dumps(bound).encode(), content_type="application/json")).base
    metadata = {"issuer": base, "introspection_endpoint": f"{base}/introspect"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    client = oauth_core.Client(server, client_id="api", client_secret="s")
    verifier = oauth_core.AccessTokenVerifier.introspecting(
        client, audience=AUDIENCE, dpop_max_age=10, clock_skew=0
    )
    request: dict[str, Any] = {"method": "GET", "url": URL, "authorization": "DPoP opaque"}
    assert verifier.verify_request(**request, dpop=proof("opaque")).subject == "u"
    for wrong, code in [
        ({"dpop": made(-12)("opaque")}, "dpop_proof.iat"),
        ({"authorization": "Bearer opaque", "dpop": None}, "access_token.proof_required"),
    ]:
        with pytest.raises(oauth_core.UntrustedError) as raised:
            verifier.verify_request(**{**request, **wrong})
        assert raised.value.code == code


def test_request_verification_runs_without_a_transport(world: ApiServer) -> None:
    token = world.token()
    world.verify(f"DPoP {token}", proof(token))  # fetches the keys
    exchange = world.verifier.verify_request_exchange(
        method="GET", url=URL, authorization=f"DPoP {token}", dpop=proof(token)
    )
    with pytest.raises(StopIteration) as ended:
        next(exchange)
    assert ended.value.value.subject == "u"
