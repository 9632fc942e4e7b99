"""Rotating a client's keys, at npm's oidc-provider."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from typing import Any

import pytest
from conftest import ROOT, process
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import oauth_core

SUPPORTED = "token_endpoint_auth_signing_alg_values_supported"

PRIVATE_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}
"""The key of RFC 7515 appendix A.3."""


def rsa_pem(bits: int) -> tuple[str, str]:
    """A private key and its public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@pytest.fixture(scope="module")
def pems(oidc: Any) -> tuple[str, str]:
    """Two private keys: of an elliptic curve, and of RSA."""
    first, second = (oidc["clients"][f"key-{alg}"]["private_key"] for alg in ("ES256", "RS256"))
    return str(first), str(second)


def header(auth: oauth_core.ClientAuth, *algs: str) -> dict[str, str]:
    """The header of the assertion for a server that supports these algorithms."""
    issuer = "https://as.example"
    metadata = {"issuer": issuer, "token_endpoint": f"{issuer}/token", SUPPORTED: algs}
    server = oauth_core.Server.from_metadata(issuer, metadata)
    client = oauth_core.Client(server, client_id="me", client_auth=auth)
    step = next(client.exchange.client_credentials())
    assert isinstance(step, oauth_core.Send)
    [assertion] = urllib.parse.parse_qs(bytes(step.body).decode())["client_assertion"]
    read: dict[str, str] = json.loads(base64.urlsafe_b64decode(assertion.split(".")[0] + "=="))
    return read


def test_the_server_accepts_the_old_and_the_new_key_during_a_rotation(
    pems: tuple[str, str], oidc: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = pems
    both = oauth_core.PrivateKeyJwt(pems)
    monkeypatch.setitem(os.environ, "CLIENT_JWKS", json.dumps(both.public_jwks()))
    with process(["node", "server.mjs"], ROOT / "tests/interop/oidc-provider") as server_info:
        server = oauth_core.discover(server_info["issuer"], transport="loopback_http")

        def token(auth: oauth_core.ClientAuth) -> str:
            client = oauth_core.Client(server, client_id="key-rotated", client_auth=auth)
            return client.client_credentials(scope="read").token().access_token

        # A worker that has both keys, one that has only the old key, and one that has only the new key.
        for auth in (both, oauth_core.PrivateKeyJwt(old), oauth_core.PrivateKeyJwt([new])):
            assert token(auth)
        foreign = oauth_core.PrivateKeyJwt(oidc["clients"]["key-ES384"]["private_key"])
        with pytest.raises(oauth_core.DeniedError) as caught:
            token(foreign)
        assert caught.value.code == "denied.invalid_client"


def test_the_first_key_whose_algorithm_the_server_supports_signs(pems: tuple[str, str]) -> None:
    both = oauth_core.PrivateKeyJwt(pems)
    first, second = both.public_jwks()["keys"]
    assert first.keys() == {"kty", "crv", "x", "y", "kid", "use"}
    assert second.keys() == {"kty", "n", "e", "kid", "use"}
    newest = header(both, "RS256", "ES256")
    assert (newest["alg"], newest["kid"]) == ("ES256", first["kid"])
    fitting = header(both, "RS256")
    assert (fitting["alg"], fitting["kid"]) == ("RS256", second["kid"])
    jwt_header = header(oauth_core.PrivateKeyJwt(list(pems), alg="RS256"), "RS256", "ES256")
    assert jwt_header["kid"] == second["kid"]
    # A single key has a kid only if one is given.
    alone = oauth_core.PrivateKeyJwt(pems[0], kid="2026-11")
    assert header(alone, "ES256")["kid"] == alone.public_jwks()["keys"][0]["kid"] == "2026-11"
    assert "kid" not in header(oauth_core.PrivateKeyJwt(pems[0]), "ES256")
    assert "PRIVATE" not in repr(both)


def test_an_invalid_key_set_is_rejected(pems: tuple[str, str]) -> None:
    key_set = oauth_core.PrivateKeyJwt(pems[0]).public_jwks()["keys"][0]
    refused: list[tuple[Any, dict[str, Any], str, str]] = [
        ([], {}, "client_auth.keys", "key"),
        ([pems[0], pems[0]], {}, "client_auth.keys", "key"),
        (pems, {"kid": "k"}, "arguments.inconsistent", "kid"),
        ([pems[0], "no key"], {}, "key.malformed", "key"),
        (json.dumps(key_set), {}, "key.malformed", "key"),
        (rsa_pem(2048)[1], {}, "key.malformed", "key"),
        (rsa_pem(1024)[0], {}, "key.algorithm", "key"),
        (json.dumps({**PRIVATE_JWK, "use": "enc"}), {}, "key.algorithm", "key"),
        (json.dumps({**PRIVATE_JWK, "key_ops": ["verify"]}), {}, "key.algorithm", "key"),
        (pems[1].replace(pems[1].splitlines()[-2], ""), {}, "key.malformed", "key"),
        (pems[0], {"alg": "RS256"}, "key.algorithm", "alg"),
        ([pems[0]], {"alg": "HS256"}, "key.algorithm", "alg"),
        (pems[0], {"alg": "none"}, "key.algorithm", "alg"),
    ]
    assert oauth_core.PrivateKeyJwt(json.dumps({**PRIVATE_JWK, "use": "sig"}))
    for key, options, code, argument in refused:
        # At construction, with the name of the argument.
        with pytest.raises(oauth_core.MisuseError) as wrong:
            oauth_core.PrivateKeyJwt(key, **options)
        assert wrong.value.code == code, str(wrong.value)
        assert f": {argument}: " in str(wrong.value) and "PRIVATE" not in str(wrong.value)
    with pytest.raises(oauth_core.UntrustedError, match=": secret: HS256 needs 32 bytes"):
        oauth_core.ClientSecretJwt("short")
    with pytest.raises(oauth_core.MisuseError, match=": alg: "):
        oauth_core.ClientSecretJwt("a" * 32, alg="ES256")  # type: ignore[arg-type]
    with pytest.raises(oauth_core.MisuseError) as account:
        oauth_core.ServiceAccount("{}")
    assert account.value.code == "provider.data"
    with pytest.raises(oauth_core.OAuthError) as caught:
        header(oauth_core.PrivateKeyJwt(pems), "ES384")
    assert caught.value.code == "key.algorithm"
    with pytest.raises(TypeError):
        oauth_core.PrivateKeyJwt([7])  # type: ignore[list-item]


def test_an_encrypted_key_is_decrypted_with_its_passphrase_only() -> None:
    folder = ROOT / "crates/oauth-crypto/tests/encrypted"
    plain, encrypted = ((folder / f"{name}.pem").read_text() for name in ("plain", "aes256"))
    opened = oauth_core.PrivateKeyJwt(encrypted, passphrase="correct")
    assert opened.public_jwks() == oauth_core.PrivateKeyJwt(plain).public_jwks()
    assert header(opened, "ES256")["alg"] == "ES256"
    scrypt = (folder / "scrypt.pem").read_text()
    refused: list[tuple[str, str | None, str, str]] = [
        (encrypted, None, "key.encrypted", "key"),
        (encrypted, "wrong", "key.passphrase", "passphrase"),
        (scrypt, "correct", "key.malformed", "key"),
    ]
    for key, passphrase, code, argument in refused:
        with pytest.raises(oauth_core.MisuseError) as caught:
            oauth_core.PrivateKeyJwt(key, passphrase=passphrase)
        assert caught.value.code == code and f": {argument}" in str(caught.value)
        assert "wrong" not in str(caught.value)
