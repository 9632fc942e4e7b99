"""A signed access token and an ID token verified with a key at hand, a client's assertion and a DPoP proof made, by each library."""

from __future__ import annotations

import base64
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import oauth_core
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from harness import HERE, OURS, require_same_results, measure_cpu, print_figure, run_in_turns, medians, medians_over
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt

with warnings.catch_warnings(record=True):
    # It names its successor, joserfc, which is measured too.
    from authlib.jose import JsonWebKey, JsonWebToken

# joserfc would have EdDSA called Ed25519.
warnings.simplefilter("ignore")

ISSUER = "https://as.example"
AUDIENCE = "https://api.example"
NONCE = "n-0S6_WzA2Mj"
RAW = "cryptography, the signature alone"
VECTORS = Path(HERE).parents[1] / "vectors/vectors.json"
KEYS = json.loads(VECTORS.read_text("utf-8"))["keys"]["as_private"]
ALGS = {"RS256": "rsa1", "ES256": "ec1", "EdDSA": "ed1"}
BATCH = 200
ABOVE_RAW = 5
# Of a DPoP proof, in microseconds.
PROOF = 35

Side = Callable[[int], Any]


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public(alg: str) -> dict[str, str]:
    key = KEYS[ALGS[alg]]
    members = {name: key[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in key}
    return {**members, "kid": alg, "alg": alg}


OF_ACCESS = {"aud": AUDIENCE, "client_id": "c", "scope": "read write"}
OF_ID = {"aud": "c", "nonce": NONCE, "name": "Ann Example", "email": "ann@example.com", "email_verified": True}


def tokens(alg: str, others: dict[str, Any] = OF_ACCESS, typ: str = "at+jwt") -> list[str]:
    """Tokens that differ, with these claims beside those that all have."""
    key = jwt.get_algorithm_by_name(alg).from_jwk(KEYS[ALGS[alg]])
    now = int(time.time())

    def token(number: int) -> str:
        claims = {
            "iss": ISSUER, "sub": f"user-{number}", "jti": str(number), "iat": now, "exp": now + 7200, **others,
        }
        return jwt.encode(claims, key, alg, headers={"kid": alg, "typ": typ})

    return [token(number) for number in range(BATCH)]


def raw_verify(alg: str, shown: list[str]) -> Side:
    """The signature, with everything around it prepared."""
    key: Any = jwt.get_algorithm_by_name(alg).from_jwk(public(alg))
    parts = [token.rpartition(".") for token in shown]
    signatures = [decoded(signature) for _, _, signature in parts]
    inputs = [text.encode() for text, _, _ in parts]
    if alg == "RS256":
        scheme, digest = padding.PKCS1v15(), hashes.SHA256()
        return lambda n: key.verify(signatures[n], inputs[n], scheme, digest)
    if alg == "ES256":
        halves = [(raw[:32], raw[32:]) for raw in signatures]
        ders = [encode_dss_signature(*(int.from_bytes(half) for half in pair)) for pair in halves]
        ecdsa = ec.ECDSA(hashes.SHA256())
        return lambda n: key.verify(ders[n], inputs[n], ecdsa)
    return lambda n: key.verify(signatures[n], inputs[n])


def our_verifier(alg: str) -> oauth_core.AccessTokenVerifier:
    """With its keys at hand."""
    server = oauth_core.Server.from_metadata(ISSUER, {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"})
    verifier = oauth_core.AccessTokenVerifier(server, audience=AUDIENCE, algs=[alg])
    know(alg, verifier.verify_exchange(tokens(alg)[0]))
    return verifier


def know(alg: str, exchange: Any) -> None:
    """Answers the only request of a verification: with the keys, which are known from then on."""
    next(exchange)
    keys = json.dumps({"keys": [public(alg)]}).encode()
    try:
        exchange.send((200, [("content-type", "application/json")], keys))
    except StopIteration:
        return
    raise AssertionError("the keys are not known")


def verifying_ids(alg: str) -> None:
    """An ID token that an app has posted, with the nonce that it was asked for."""
    shown = tokens(alg, OF_ID, "JWT")
    metadata = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks", "id_token_signing_alg_values_supported": [alg]}
    server = oauth_core.Server.from_metadata(ISSUER, metadata)
    ours = oauth_core.Client(
        server, client_id="c", client_auth=oauth_core.Public(), id_token_signed_response_alg=alg
    )
    know(alg, ours.exchange.verify_id_token(token=shown[0], nonce=NONCE))
    theirs = jwt.PyJWK(public(alg))
    authlib, authlib_key = JsonWebToken([alg]), JsonWebKey.import_key(public(alg))
    claim_options = {name: {"essential": True, "value": value} for name, value in (("iss", ISSUER), ("aud", "c"), ("nonce", NONCE))}
    joserfc_key = joserfc_jwk.import_key(public(alg))
    registry = joserfc_jwt.JWTClaimsRegistry(leeway=60, **claim_options)

    def by_pyjwt(n: int) -> Any:
        options = {"algorithms": [alg], "audience": "c", "issuer": ISSUER, "leeway": 60}
        claims = jwt.decode(shown[n], theirs, **options)
        assert claims["nonce"] == NONCE
        return claims["sub"]

    def by_authlib(n: int) -> Any:
        claims = authlib.decode(shown[n], authlib_key, claims_options=claim_options)
        claims.validate(leeway=60)
        return claims["sub"]

    def by_joserfc(n: int) -> Any:
        token = joserfc_jwt.decode(shown[n], joserfc_key, algorithms=[alg])
        registry.validate(token.claims)
        return token.claims["sub"]

    sides: dict[str, Side] = {
        OURS: lambda n: ours.verify_id_token(token=shown[n], nonce=NONCE).subject,
        "PyJWT": by_pyjwt,
        "Authlib": by_authlib,
        "joserfc": by_joserfc,
    }
    for number in range(BATCH):
        require_same_results(alg, {name: side(number) for name, side in sides.items()})
    taken = measured({**sides, RAW: raw_verify(alg, shown)})
    title = f"Python: an ID token verified with a key at hand, {alg}"
    print_figure(title, "us CPU", taken, budget=taken[RAW] + ABOVE_RAW)


def verifying(alg: str) -> None:
    shown = tokens(alg)
    ours = our_verifier(alg)
    theirs = jwt.PyJWK(public(alg))
    authlib, authlib_key = JsonWebToken([alg]), JsonWebKey.import_key(public(alg))
    claim_options = {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": AUDIENCE}}
    joserfc_key = joserfc_jwk.import_key(public(alg))
    registry = joserfc_jwt.JWTClaimsRegistry(leeway=60, **claim_options)

    def by_authlib(n: int) -> Any:
        claims = authlib.decode(shown[n], authlib_key, claims_options=claim_options)
        claims.validate(leeway=60)
        return claims["sub"]

    def by_joserfc(n: int) -> Any:
        token = joserfc_jwt.decode(shown[n], joserfc_key, algorithms=[alg])
        registry.validate(token.claims)
        return token.claims["sub"]

    def by_pyjwt(n: int) -> Any:
        options = {"algorithms": [alg], "audience": AUDIENCE, "issuer": ISSUER, "leeway": 60}
        return jwt.decode(shown[n], theirs, **options)["sub"]

    sides: dict[str, Side] = {
        OURS: lambda n: ours.verify(shown[n]).subject,
        "PyJWT": by_pyjwt,
        "Authlib": by_authlib,
        "joserfc": by_joserfc,
    }
    for number in range(BATCH):
        require_same_results(alg, {name: side(number) for name, side in sides.items()})
    taken = measured({**sides, RAW: raw_verify(alg, shown)})
    title = f"Python: an access token verified with a key at hand, {alg}"
    print_figure(title, "us CPU", taken, budget=taken[RAW] + ABOVE_RAW)


def measured(sides: dict[str, Side]) -> dict[str, float]:
    return medians(runs(sides))


def runs(sides: dict[str, Side]) -> dict[str, list[float]]:
    def batch(side: Side) -> Callable[[int], float]:
        return lambda _: measure_cpu(lambda: [side(n) for n in range(BATCH)]) / BATCH * 1e6

    return run_in_turns({name: batch(side) for name, side in sides.items()}, rounds=15)


def raw_sign(alg: str) -> Side:
    key: Any = jwt.get_algorithm_by_name(alg).from_jwk(KEYS[ALGS[alg]])
    text = tokens(alg)[0].rpartition(".")[0].encode()
    if alg == "RS256":
        scheme, digest = padding.PKCS1v15(), hashes.SHA256()
        return lambda _: key.sign(text, scheme, digest)
    if alg == "ES256":
        ecdsa = ec.ECDSA(hashes.SHA256())

        def by_curve(_: int) -> bytes:
            halves = decode_dss_signature(key.sign(text, ecdsa))
            return b"".join(half.to_bytes(32) for half in halves)

        return by_curve
    return lambda _: key.sign(text)


def signing(alg: str) -> None:
    """What an assertion adds to a request: one with a secret is taken off ours."""
    metadata = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}
    server = oauth_core.Server.from_metadata(ISSUER, metadata)
    private = KEYS[ALGS[alg]]
    auth = oauth_core.PrivateKeyJwt(json.dumps(private), alg=alg, kid=alg)
    with_key = oauth_core.Client(server, client_id="c", client_auth=auth)
    secret = oauth_core.ClientSecretPost("s3cr3t")
    with_secret = oauth_core.Client(server, client_id="c", client_auth=secret)
    pyjwt_key = jwt.get_algorithm_by_name(alg).from_jwk(private)
    authlib, authlib_key = JsonWebToken([alg]), JsonWebKey.import_key(private)
    joserfc_key = joserfc_jwk.import_key(private)
    header = {"alg": alg, "kid": alg, "typ": "client-authentication+jwt"}

    def claims(n: int) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": "c", "sub": "c", "aud": ISSUER, "jti": f"{n}", "iat": now, "exp": now + 60}

    sides: dict[str, Side] = {
        OURS: lambda _: next(with_key.exchange.client_credentials()),
        "with a secret": lambda _: next(with_secret.exchange.client_credentials()),
        "PyJWT": lambda n: jwt.encode(claims(n), pyjwt_key, alg, headers=header),
        "Authlib": lambda n: authlib.encode(header, claims(n), authlib_key),
        "joserfc": lambda n: joserfc_jwt.encode(header, claims(n), joserfc_key, algorithms=[alg]),
        RAW: raw_sign(alg),
    }
    results = runs(sides)
    added = medians_over({name: results[name] for name in (OURS, "with a secret")}, "with a secret")
    taken = {**medians(results), **added}
    del taken["with a secret"]
    title = f"Python: private_key_jwt made, {alg}"
    print_figure(title, "us CPU", taken, budget=taken[RAW] + ABOVE_RAW)


def proving(alg: str) -> None:
    """What a proof adds to a request (RFC 9449): one without is taken off ours."""
    endpoint = f"{ISSUER}/token"
    server = oauth_core.Server.from_metadata(ISSUER, {"issuer": ISSUER, "token_endpoint": endpoint})
    private = KEYS[ALGS[alg]]
    secret = oauth_core.ClientSecretPost("s3cr3t")
    key = oauth_core.DpopKey(json.dumps(private), alg=alg)
    bound = oauth_core.Client(server, client_id="c", client_auth=secret, dpop_key=key)
    plain = oauth_core.Client(server, client_id="c", client_auth=secret)
    pyjwt_key = jwt.get_algorithm_by_name(alg).from_jwk(private)
    joserfc_key = joserfc_jwk.import_key(private)
    shown = {name: private[name] for name in ("kty", "crv", "x", "y") if name in private}
    header = {"alg": alg, "typ": "dpop+jwt", "jwk": shown}

    def claims(n: int) -> dict[str, Any]:
        return {"htm": "POST", "htu": endpoint, "iat": int(time.time()), "jti": f"{n}"}

    sides: dict[str, Side] = {
        OURS: lambda _: next(bound.exchange.client_credentials()),
        "without a proof": lambda _: next(plain.exchange.client_credentials()),
        "PyJWT": lambda n: jwt.encode(claims(n), pyjwt_key, alg, headers=header),
        "joserfc": lambda n: joserfc_jwt.encode(header, claims(n), joserfc_key, algorithms=[alg]),
        RAW: raw_sign(alg),
    }
    results = runs(sides)
    added = medians_over({name: results[name] for name in (OURS, "without a proof")}, "without a proof")
    taken = {**medians(results), **added}
    del taken["without a proof"]
    print_figure(f"Python: a DPoP proof made, {alg}", "us CPU", taken, budget=PROOF)


def main() -> None:
    for alg in ALGS:
        verifying(alg)
    for alg in ALGS:
        verifying_ids(alg)
    for alg in ALGS:
        signing(alg)
    for alg in ("ES256", "EdDSA"):
        proving(alg)


main()
