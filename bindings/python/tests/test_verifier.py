"""For API servers: verification of access tokens, ID tokens and logout tokens."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import ROOT, Answer, StubServer, reply
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import oauth_core

AUDIENCE = "https://api.example"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
KEYS = json.loads((ROOT / "tests/vectors/vectors.json").read_text("utf-8"))["keys"]
KEY: dict[str, str] = KEYS["as_private"]["rsa1"]


def base64url(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def decode_integer(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=="), "big")


def sign_jwt(typ: str | None, claims: dict[str, Any]) -> str:
    """A JWS by RS256 (RFC 8017 section 8.2.1) with the public test key of the vectors."""
    header = {"alg": "RS256", "kid": "rsa1"} | ({} if typ is None else {"typ": typ})
    text = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    digest_info = bytes.fromhex("3031300d060960864801650304020105000420")
    digest_info += hashlib.sha256(text.encode()).digest()
    n, d = decode_integer(KEY["n"]), decode_integer(KEY["d"])
    size = (n.bit_length() + 7) // 8
    padded = b"\x00\x01" + b"\xff" * (size - len(digest_info) - 3) + b"\x00" + digest_info
    signature = pow(int.from_bytes(padded, "big"), d, n)
    return f"{text}.{base64url(signature.to_bytes(size, 'big'))}"


class Issuer:
    """An authorization server that publishes keys and counts the requests for them."""

    def __init__(self, plain: Callable[[Answer], StubServer]) -> None:
        keys = json.dumps(KEYS["as_jwks"]).encode()
        self.plain = plain(reply(200, keys, content_type="application/json"))
        self.base = self.plain.base
        metadata = {
            "issuer": self.base,
            "jwks_uri": f"{self.base}/jwks",
            "end_session_endpoint": f"{self.base}/logout",
        }
        self.server = oauth_core.Server.from_metadata(
            self.base, metadata, transport="loopback_http"
        )

    def token(self, typ: str | None = "at+jwt", **more: Any) -> str:
        now = int(time.time())
        claims = {"iss": self.base, "aud": AUDIENCE, "sub": "u", "client_id": "c", "jti": "j"}
        times = {"iat": now, "exp": now + 60, "scope": "read"}
        return sign_jwt(typ, {**claims, **times, **more})

    def id_token(self, typ: str | None = "JWT", **more: Any) -> str:
        now = int(time.time())
        claims = {"iss": self.base, "aud": "id", "sub": "u", "iat": now, "exp": now + 60}
        return sign_jwt(typ, {**claims, **more})

    def logout(self, **more: Any) -> str:
        now = int(time.time())
        claims = {"iss": self.base, "aud": "id", "iat": now, "exp": now + 60, "events": {EVENT: {}}}
        return sign_jwt("logout+jwt", {**claims, **more})


@pytest.fixture
def issuer(plain: Callable[[Answer], StubServer]) -> Issuer:
    return Issuer(plain)


def test_an_api_verifies_access_tokens(issuer: Issuer) -> None:
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE, scope=["read"])
    verified = verifier.verify(issuer.token(groups=["g"]))
    assert isinstance(verified, oauth_core.VerifiedAccessToken)
    assert (verified.subject, verified.client_id, verified.issuer) == ("u", "c", issuer.base)
    assert list(verified.audience) == [AUDIENCE] and verified.claims["groups"] == ["g"]
    assert "read" in verified.scope

    async def several() -> None:
        calls = [verifier.averify(issuer.token()) for _ in range(5)]
        assert {verified.subject for verified in await asyncio.gather(*calls)} == {"u"}

    asyncio.run(several())
    assert [path for _, path, _, _ in issuer.plain.seen] == ["/jwks"]


def test_the_algorithm_of_a_published_key_is_used(
    issuer: Issuer, plain: Callable[[Answer], StubServer]
) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_numbers()
    key = {"kty": "EC", "crv": "P-256", "kid": "1"}
    key |= {name: base64url(getattr(point, name).to_bytes(32, "big")) for name in ("x", "y")}
    key_server = plain(reply(200, json.dumps({"keys": [key]}).encode(), content_type="application/json"))
    # No metadata says how access tokens are signed.
    metadata = {"issuer": issuer.base, "jwks_uri": f"{key_server.base}/jwks"}
    server = oauth_core.Server.from_metadata(issuer.base, metadata, transport="loopback_http")
    claims = issuer.token().split(".")[1]

    def signing_input(alg: str) -> str:
        header = {"alg": alg, "kid": "1", "typ": "at+jwt"}
        return f"{base64url(json.dumps(header).encode())}.{claims}"

    der = private.sign(signing_input("ES256").encode(), ec.ECDSA(hashes.SHA256()))
    raw_signature = b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(der))
    valid = f"{signing_input('ES256')}.{base64url(raw_signature)}"
    verifier = oauth_core.AccessTokenVerifier(server, audience=AUDIENCE)
    assert verifier.verify(valid).subject == "u"
    # The public key as a shared secret, no signature at all, and an algorithm other than the key's.
    mac = hmac.digest(json.dumps(key).encode(), signing_input("HS256").encode(), "sha256")
    forged = [
        f"{signing_input('HS256')}.{base64url(mac)}",
        f"{signing_input('none')}.",
        f"{signing_input('ES384')}.{'A' * 128}",
    ]
    rs256_only = oauth_core.AccessTokenVerifier(server, audience=AUDIENCE, algs=["RS256"])
    for tested, token in [*((verifier, wrong) for wrong in forged), (rs256_only, valid)]:
        with pytest.raises(oauth_core.UntrustedError) as refused:
            tested.verify(token)
        assert refused.value.code == "jws.alg_not_allowed"


def run_without_loop(coroutine: Any) -> Any:
    """The result of a coroutine that never suspends, run without an event loop."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def test_verification_with_cached_keys_does_not_wait(issuer: Issuer) -> None:
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)
    # Some servers copy the nonce of the login into it.
    verifier.verify(issuer.token(nonce="n"))
    assert run_without_loop(verifier.averify(issuer.token())).subject == "u"
    assert run_without_loop(verifier.averify(issuer.token(), scope="read")).subject == "u"
    with pytest.raises(oauth_core.UntrustedError) as refused:
        verifier.averify(issuer.token(aud="https://other.example")).send(None)
    assert refused.value.code == "jwt.audience"

    client = oauth_core.Client(issuer.server, client_id="id")
    client.verify_id_token(token=issuer.id_token(), unexpected_nonce="reject")
    again = client.averify_id_token(token=issuer.id_token(), unexpected_nonce="reject")
    assert run_without_loop(again).subject == "u"


def test_invalid_requirements_are_rejected_before_verification(issuer: Issuer) -> None:
    with pytest.raises(TypeError, match="clock_skew"):
        oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE, clock_skew="a minute")  # type: ignore[arg-type]
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)
    with pytest.raises(TypeError):
        verifier.verify(None)  # type: ignore[arg-type]


MAY_ACT: dict[str, Any] = {"iss": "https://as.example", "sub": "admin@example.com", "exp": 1}


@pytest.mark.parametrize(
    ("actor_claims", "expected"),
    [
        ({"may_act": MAY_ACT, "act": {"sub": "somebody"}}, MAY_ACT),
        ({"may_act": {}}, {}),
        ({"may_act": "admin@example.com"}, None),
        ({"may_act": [MAY_ACT]}, None),
        ({"may_act": None}, None),
        ({"act": MAY_ACT}, None),
        ({}, None),
    ],
)
def test_may_act_of_a_token_is_returned_if_it_is_an_object(
    issuer: Issuer, actor_claims: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)
    client = oauth_core.Client(issuer.server, client_id="id", client_auth=oauth_core.Public())
    access = verifier.verify(issuer.token(**actor_claims))
    person = client.verify_id_token(token=issuer.id_token(**actor_claims), unexpected_nonce="reject")
    for verified in (access, person):
        assert verified.may_act == expected
        assert verified.claims.get("may_act") == actor_claims.get("may_act")
        assert "admin@example.com" not in repr(verified)


def test_members_of_a_verified_token_are_created_lazily_and_once(issuer: Issuer) -> None:
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)
    token = issuer.token()
    verified = verifier.verify(token)
    with ThreadPoolExecutor(8) as pool:
        assert len({id(claims) for claims in pool.map(lambda _: verified.claims, range(64))}) == 1
    assert verified.claims is verified.claims and verified.expires_at is verified.expires_at
    # A token whose claims have not been read yet can still be compared, shown and stored.
    assert verifier.verify(token) == verified
    assert "client_id='c'" in repr(verifier.verify(token))
    assert pickle.loads(pickle.dumps(verifier.verify(token))) == verified
    for name in ("subjekt", "_hidden"):
        with pytest.raises(AttributeError, match=f"VerifiedAccessToken has no {name}"):
            getattr(verified, name)


def test_exported_keys_can_be_imported_by_another_process(issuer: Issuer) -> None:
    def new_verifier() -> oauth_core.AccessTokenVerifier:
        return oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)

    first = new_verifier()
    assert first.export_keys() is None
    first.verify(issuer.token())
    stored = first.export_keys()
    assert stored and "rsa1" in stored
    second = new_verifier()
    second.import_keys(stored)
    second.verify(issuer.token())
    client = oauth_core.Client(issuer.server, client_id="id", client_auth=oauth_core.Public())
    client.import_keys(stored)
    assert client.export_keys() == stored
    assert [path for _, path, _, _ in issuer.plain.seen] == ["/jwks"]
    for text, code in [("{}", "stored.malformed"), (stored.replace("127", "128"), "stored.issuer")]:
        with pytest.raises(oauth_core.OAuthError) as caught:
            new_verifier().import_keys(text)
        assert caught.value.code == code


@pytest.mark.parametrize("tenant", ["{tenantid}", "9188040d-6c67-4c5b-b112-36a304b66dad", "other", None])
def test_a_key_published_for_an_issuer_verifies_only_its_tokens(plain: Callable[[Answer], StubServer], tenant: str | None) -> None:
    """Microsoft: "Keys that have an issuer value with a GUID" are for tokens of that issuer alone."""

    def respond_with_keys(handler: BaseHTTPRequestHandler) -> None:
        base = f"http://{handler.headers['host']}"
        issuer_member = {} if tenant is None else {"issuer": f"{base}/{tenant}/v2.0"}
        published = [{**key, **issuer_member} for key in KEYS["as_jwks"]["keys"]]
        body = json.dumps({"keys": published}).encode()
        reply(200, body, content_type="application/json")(handler)

    base = plain(respond_with_keys).base
    server = oauth_core.provider("microsoft-entra", tenant="common", loopback=base)
    own_tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
    now = int(time.time())
    claims = {"iss": f"{base}/{own_tenant}/v2.0", "tid": own_tenant, "aud": AUDIENCE, "sub": "u", "azp": "c"}
    token = sign_jwt("JWT", {**claims, "iat": now, "exp": now + 60})
    verifier = oauth_core.AccessTokenVerifier(server, audience=AUDIENCE, profile="entra")
    if tenant != "other":
        assert verifier.verify(token).issuer == claims["iss"]
        return
    with pytest.raises(oauth_core.OAuthError) as refused:
        verifier.verify(token)
    assert refused.value.code == "jws.no_matching_key"
    assert f"only for {base}/other/v2.0: the key with the kid rsa1" in str(refused.value)


def refusal(verifier: oauth_core.AccessTokenVerifier, token: str, **needs: Any) -> tuple[Any, ...]:
    with pytest.raises(oauth_core.OAuthError) as raised:
        verifier.verify(token, **needs)
    return raised.value.code, raised.value.response_status, raised.value.challenge


def test_a_rejection_has_the_status_and_challenge_of_the_response(issuer: Issuer) -> None:
    verifier = oauth_core.AccessTokenVerifier(
        issuer.server, audience=AUDIENCE, realm='a "b"', dpop_algs=["ES256"]
    )
    realm = r'realm="a \"b\""'
    dpop = f'DPoP {realm}, algs="ES256"'
    expired = refusal(verifier, issuer.token(exp=1))
    assert expired == ("jwt.expired", 401, f'Bearer {realm}, error="invalid_token", {dpop}')
    assert refusal(verifier, issuer.token(), scope=["admin"]) == (
        "access_token.insufficient_scope",
        403,
        f'Bearer {realm}, error="insufficient_scope", scope="admin", {dpop}',
    )
    step_up_error = 'error="insufficient_user_authentication", acr_values="gold", max_age="60"'
    assert refusal(verifier, issuer.token(), acr_values=["gold"], max_age=60) == (
        "access_token.insufficient_user_authentication",
        401,
        f"Bearer {realm}, {step_up_error}, {dpop}",
    )
    for token, code in [
        (issuer.token("JWT"), "jwt.typ"),
        (issuer.token(at_hash="h"), "jwt.unexpected_claim"),
        (issuer.token(aud="https://other.example"), "jwt.audience"),
        (issuer.token()[:-4] + "AAAA", "jws.bad_signature"),
        ("opaque", "jws.malformed"),
    ]:
        assert refusal(verifier, token)[:2] == (code, 401)


def test_a_token_bound_to_a_key_requires_its_proof(issuer: Issuer) -> None:
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)
    bound = issuer.token(cnf={"jkt": "k"})
    assert verifier.verify(bound, jkt="k").claims["cnf"] == {"jkt": "k"}
    assert refusal(verifier, bound)[0] == "access_token.proof_required"
    assert refusal(verifier, bound, jkt="other")[2] == 'DPoP error="invalid_token", Bearer'


def test_an_expiry_beyond_datetime_max_is_clamped(issuer: Issuer) -> None:
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)
    verified = verifier.verify(issuer.token(exp=10**30))
    assert verified.expires_at and verified.expires_at.isoformat() == "9999-12-31T23:59:59+00:00"


def test_an_unreachable_server_does_not_make_the_token_invalid(issuer: Issuer) -> None:
    metadata = {"issuer": issuer.base, "jwks_uri": "http://127.0.0.1:1/jwks"}
    server = oauth_core.Server.from_metadata(issuer.base, metadata, transport="loopback_http")
    verifier = oauth_core.AccessTokenVerifier(server, audience=AUDIENCE)
    with pytest.raises(oauth_core.LostError) as raised:
        verifier.verify(issuer.token())
    assert (raised.value.response_status, raised.value.challenge) == (503, None)


def test_only_known_profiles_are_accepted(issuer: Issuer) -> None:
    def verifier_for(profile: Any) -> oauth_core.AccessTokenVerifier:
        return oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE, profile=profile)

    with pytest.raises(TypeError, match="profile.*rfc9068. .keycloak"):
        verifier_for("okto")
    token = issuer.token(None, azp="k", cid="o", scp=["read"])
    assert verifier_for("okta").verify(token).client_id == "o"
    assert verifier_for("auth0").verify(token).client_id == "k"
    assert refusal(verifier_for("rfc9068"), token)[0] == "jwt.typ"


def test_verification_runs_without_a_transport(issuer: Issuer) -> None:
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)
    keys = json.dumps(KEYS["as_jwks"]).encode()
    exchange = verifier.verify_exchange(issuer.token())
    first_step = next(exchange)
    assert isinstance(first_step, oauth_core.Send) and first_step.url == f"{issuer.base}/jwks"
    response = (200, [("content-type", "application/json")], keys)
    with pytest.raises(StopIteration) as done:
        exchange.send(response)
    assert done.value.value.subject == "u" and issuer.plain.seen == []


def test_a_standalone_id_token_identifies_the_user(issuer: Issuer) -> None:
    client = oauth_core.Client(issuer.server, client_id="id")
    person: dict[str, Any] = {"email": "ann@example.com", "email_verified": True, "name": "Ann", "sid": "s"}
    verified = client.verify_id_token(token=issuer.id_token(nonce="n", **person), nonce="n")
    assert isinstance(verified, oauth_core.IdToken)
    assert (verified.subject, verified.issuer, verified.audience) == ("u", issuer.base, ("id",))
    assert (verified.email, verified.email_verified, verified.name, verified.sid) == (*person.values(),)
    assert verified.issued_at and verified.expires_at and verified.issued_at < verified.expires_at
    assert "ann@example.com" not in repr(verified) and verified.claims["nonce"] == "n"
    without_nonce = client.averify_id_token(token=issuer.id_token(), unexpected_nonce="reject")
    assert asyncio.run(without_nonce).subject == "u"
    assert [path for _, path, _, _ in issuer.plain.seen] == ["/jwks"]
    # The audience or the authorized party may be a native app of the same service.
    for claims in ({"azp": "phone"}, {"aud": "phone"}):
        token = issuer.id_token(nonce="n", **claims)
        verified = client.verify_id_token(token=token, nonce="n", client_ids=["phone"])
        assert verified.subject == "u"


def test_a_forged_or_unsuitable_id_token_is_rejected(issuer: Issuer) -> None:
    client = oauth_core.Client(issuer.server, client_id="id")
    valid = issuer.id_token(nonce="n")
    head, body, signature = valid.split(".")
    forged_claims = json.dumps({"iss": issuer.base, "aud": "id", "sub": "mallory", "nonce": "n"})
    unsigned = base64url(json.dumps({"alg": "none"}).encode())
    at_hash = base64url(hashlib.sha256(b"t").digest()[:16])
    expired_at = int(time.time()) - 120
    with_nonce = {"nonce": "n"}
    for token, verify_options, code in (
        (f"{unsigned}.{body}.", with_nonce, "jws.alg_not_allowed"),
        (f"{head}.{base64url(forged_claims.encode())}.{signature}", with_nonce, "jws.bad_signature"),
        (valid, {"nonce": "m"}, "id_token.nonce"),
        (valid, {"unexpected_nonce": "reject"}, "jwt.unexpected_claim"),
        (issuer.id_token(), with_nonce, "jwt.missing_claim"),
        (issuer.id_token(nonce="n", iss="https://evil.example"), with_nonce, "jwt.issuer"),
        (issuer.id_token(nonce="n", aud="other"), with_nonce, "jwt.audience"),
        (issuer.id_token(nonce="n", azp="other"), with_nonce, "id_token.azp"),
        (issuer.id_token(nonce="n", aud=["id", "x"], azp="id"), with_nonce, "jwt.untrusted_audience"),
        (issuer.id_token(nonce="n", exp=expired_at), with_nonce, "jwt.expired"),
        (issuer.id_token(nonce="n"), {**with_nonce, "max_age": 60}, "id_token.auth_time_missing"),
        (issuer.id_token(nonce="n", at_hash="x"), {**with_nonce, "access_token": "t"}, "id_token.at_hash"),
        (valid, {**with_nonce, "access_token": "t"}, "jwt.missing_claim"),
        (issuer.id_token("at+jwt", nonce="n"), with_nonce, "jwt.typ"),
        (issuer.id_token(nonce="n", token_use="access"), with_nonce, "jwt.unexpected_claim"),
        (valid, {}, "arguments.inconsistent"),
        (valid, {**with_nonce, "unexpected_nonce": "ignore"}, "arguments.inconsistent"),
        (issuer.id_token(nonce=""), {"nonce": ""}, "form.malformed_parameter"),
    ):
        with pytest.raises(oauth_core.OAuthError) as raised:
            client.verify_id_token(token=token, **verify_options)
        assert raised.value.code == code, (verify_options, code)
    with_at_hash = issuer.id_token(nonce="n", at_hash=at_hash)
    assert client.verify_id_token(token=with_at_hash, nonce="n", access_token="t").subject == "u"


def test_a_plain_jwt_is_accepted_as_an_access_token_but_an_id_token_is_not(issuer: Issuer) -> None:
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE, profile="jwt")
    now = int(time.time())
    claims = {"iss": issuer.base, "sub": "client", "aud": AUDIENCE, "iat": now, "exp": now + 60}
    verified = verifier.verify(sign_jwt("JWT", {**claims, "scope": ["read"]}), scope="read")
    assert (verified.subject, verified.client_id, verified.scope) == ("client", None, frozenset({"read"}))
    for token in (issuer.id_token(), issuer.id_token(aud=AUDIENCE, nonce="n")):
        with pytest.raises(oauth_core.UntrustedError) as raised:
            verifier.verify(token)
        assert raised.value.code in ("jwt.audience", "jwt.unexpected_claim")


def test_a_token_for_any_configured_audience_is_accepted(issuer: Issuer) -> None:
    audiences = ["https://old.example", AUDIENCE]
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=iter(audiences))  # type: ignore[arg-type]
    for _ in range(2):
        assert verifier.verify(issuer.token()).audience == (AUDIENCE,)
    assert verifier.verify(issuer.token(aud=["x", audiences[0]])).subject == "u"
    with pytest.raises(oauth_core.UntrustedError) as raised:
        verifier.verify(issuer.token(aud="x"))
    assert raised.value.code == "jwt.audience"
    for empty in ([], "", [AUDIENCE, ""]):
        with pytest.raises(oauth_core.MisuseError) as misused:
            oauth_core.AccessTokenVerifier(issuer.server, audience=empty)
        assert misused.value.code == "form.malformed_parameter"


def test_a_logout_token_is_accepted_once(issuer: Issuer) -> None:
    client = oauth_core.Client(issuer.server, client_id="id")
    token = issuer.logout(jti="1", sub="u", sid="s")
    verified = client.verify_logout_token(token=token)
    assert isinstance(verified, oauth_core.LogoutToken)
    assert (verified.subject, verified.sid, verified.jti) == ("u", "s", "1")
    assert verified.forget_at > verified.issued_at
    with pytest.raises(oauth_core.UntrustedError) as raised:
        asyncio.run(client.averify_logout_token(token=token))
    assert raised.value.code == "logout_token.replayed" and raised.value.response_status is None
    assert client.verify_logout_token(token=token, replay="caller").jti == "1"
    with pytest.raises(oauth_core.UntrustedError) as raised:
        client.verify_logout_token(token=issuer.logout(jti="2", sub="u", nonce="n"))
    assert raised.value.code == "jwt.unexpected_claim"


def test_end_session_url_contains_the_logout_parameters(issuer: Issuer) -> None:
    client = oauth_core.Client(issuer.server, client_id="id")
    assert client.end_session_url() == f"{issuer.base}/logout?client_id=id"
    url = client.end_session_url(
        id_token_hint="a.b.c",
        logout_hint="u",
        post_logout_redirect_uri="https://rp.example/bye",
        state="s",
        ui_locales="de en",
    )
    assert parse_qs(urlsplit(url).query) == {
        "id_token_hint": ["a.b.c"],
        "logout_hint": ["u"],
        "client_id": ["id"],
        "post_logout_redirect_uri": ["https://rp.example/bye"],
        "state": ["s"],
        "ui_locales": ["de en"],
    }
    with pytest.raises(oauth_core.MisuseError) as raised:
        client.end_session_url(post_logout_redirect_uri="http://rp.example/bye")
    assert raised.value.code == "redirect_uri.refused"
    metadata = {"issuer": issuer.base}
    server_without_endpoint = oauth_core.Server.from_metadata(issuer.base, metadata, transport="loopback_http")
    with pytest.raises(oauth_core.MisuseError) as raised:
        oauth_core.Client(server_without_endpoint, client_id="id").end_session_url()
    assert raised.value.code == "endpoint.missing"


def test_mistyped_options_are_rejected(issuer: Issuer) -> None:
    wrong: Any = {"scopes": "read"}
    with pytest.raises(TypeError, match="scopes"):
        oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE, **wrong)
    verifier = oauth_core.AccessTokenVerifier(issuer.server, audience=AUDIENCE)
    for wrong in ({"scopes": "read"}, {"algs": ["RS256"]}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            verifier.verify(issuer.token(), **wrong)
    assert issuer.plain.seen == []
