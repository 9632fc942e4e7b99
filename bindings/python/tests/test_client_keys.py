"""Keys of a client, of which one takes the place of another, at npm's oidc-provider."""

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
    """The header of the assertion at a server that takes these algorithms."""
    issuer = "https://as.example"
    metadata = {"issuer": issuer, "token_endpoint": f"{issuer}/token", SUPPORTED: algs}
    server = oauth_core.Server.from_metadata(issuer, metadata)
    client = oauth_core.Client(server, client_id="me", client_auth=auth)
    step = next(client.exchange.client_credentials())
    assert isinstance(step, oauth_core.Send)
    [assertion] = urllib.parse.parse_qs(bytes(step.body).decode())["client_assertion"]
    read: dict[str, str] = json.loads(base64.urlsafe_b64decode(assertion.split(".")[0] + "=="))
    return read


def test_a_key_takes_the_place_of_another(
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

        # A worker that knows both, one that was not told yet, and one for which the old key is gone.
        for auth in (both, oauth_core.PrivateKeyJwt(old), oauth_core.PrivateKeyJwt([new])):
            assert token(auth)
        foreign = oauth_core.PrivateKeyJwt(oidc["clients"]["key-ES384"]["private_key"])
        with pytest.raises(oauth_core.DeniedError) as caught:
            token(foreign)
        assert caught.value.code == "denied.invalid_client"


def test_the_newest_that_the_server_can_take_signs(pems: tuple[str, str]) -> None:
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
    # One key goes without a name unless it is given, and is published by it.
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
        (pems[0], {"alg": "RS256"}, "key.algorithm", "alg"),
        ([pems[0]], {"alg": "HS256"}, "key.algorithm", "alg"),
        (pems[0], {"alg": "none"}, "key.algorithm", "alg"),
    ]
    for key, options, code, argument in refused:
        # Where the value is made, and with the name of the argument.
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


def test_an_encrypted_key_needs_its_passphrase() -> None:
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
