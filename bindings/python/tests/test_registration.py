"""Registered algorithms by which the server's responses are signed and encrypted."""

from __future__ import annotations

from typing import Any

import pytest

import oauth_core

ISSUER = "https://as.example"
KEY = '{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODw"}'
# {"sub":"ann","name":"Ann"}, encrypted with the key by joserfc.
ENCRYPTED = (
    "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..RUccAzQZ80eXjJNL"
    ".PzsnjK9_LSCzD8p1FKATjlX4pSWp-kRBNJI.3yjHHmt3b4J9IO4zuuPRSw"
)
JSON = ("application/json", '{"sub":"ann"}')
JWT = ("application/jwt", ENCRYPTED)


def client(**registered: Any) -> oauth_core.Client:
    endpoints = {"userinfo_endpoint": f"{ISSUER}/me", "introspection_endpoint": f"{ISSUER}/look"}
    server = oauth_core.Server.from_metadata(ISSUER, {"issuer": ISSUER, **endpoints})
    return oauth_core.Client(server, client_id="id", client_secret="s", **registered)


def fetch_userinfo(response: tuple[str, str], **registered: Any) -> oauth_core.UserClaims:
    """The claims of a userinfo response."""
    tokens = oauth_core.Tokens.bearer("t0ken")
    exchange = client(**registered).exchange.userinfo(tokens=tokens, subject="ann")
    assert isinstance(next(exchange), oauth_core.Send)
    media, body = response
    with pytest.raises(StopIteration) as done:
        exchange.send((200, [("content-type", media)], body.encode()))
    claims = done.value.value
    assert isinstance(claims, oauth_core.UserClaims)
    return claims


ENCRYPTION = {
    "userinfo_encrypted_response_alg": "dir",
    "userinfo_encrypted_response_enc": "A128GCM",
    "decryption_keys": [KEY],
}


def test_an_encrypted_userinfo_response_is_decrypted() -> None:
    assert fetch_userinfo(JWT, **ENCRYPTION).claims["name"] == "Ann"
    assert fetch_userinfo(JSON).subject == "ann"


@pytest.mark.parametrize(
    ("response", "registered", "code"),
    [
        (JSON, ENCRYPTION, "jwe.not_encrypted"),
        (JSON, {"userinfo_signed_response_alg": "ES256"}, "userinfo.not_signed"),
        (JWT, {"userinfo_signed_response_alg": "ES256"}, "jwe.unexpected"),
        (JWT, {}, "reply.content_type"),
        (JWT, {**ENCRYPTION, "userinfo_encrypted_response_enc": "A256GCM"}, "jwe.alg_not_allowed"),
        (("application/jwt", ENCRYPTED[:-2] + "Qw"), ENCRYPTION, "jwe.decryption"),
    ],
)
def test_a_response_that_differs_from_the_registered_format_is_refused(
    response: tuple[str, str], registered: dict[str, Any], code: str
) -> None:
    with pytest.raises(oauth_core.OAuthError) as caught:
        fetch_userinfo(response, **registered)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("registered", "code"),
    [
        ({"id_token_encrypted_response_alg": "RSA-OAEP"}, "arguments.inconsistent"),
        ({"id_token_encrypted_response_enc": "A128GCM", "decryption_keys": [KEY]}, "arguments.inconsistent"),
        ({"id_token_encrypted_response_alg": "RSA1_5", "decryption_keys": [KEY]}, "key.algorithm"),
        ({"id_token_encrypted_response_alg": "ECDH-ES", "decryption_keys": [KEY]}, "key.algorithm"),
        ({"id_token_encrypted_response_alg": "dir", "decryption_keys": ["x"]}, "key.malformed"),
        ({"userinfo_signed_response_alg": "none"}, "key.algorithm"),
    ],
)
def test_inconsistent_registered_algorithms_are_rejected(registered: dict[str, Any], code: str) -> None:
    with pytest.raises(oauth_core.OAuthError) as caught:
        client(**registered)
    assert caught.value.code == code
    assert "AAECAw" not in str(caught.value)


def test_introspection_requests_a_signed_response_and_rejects_an_unsigned_one() -> None:
    exchange = client().exchange.introspect(token="t", signed_response_alg="ES256")
    step = next(exchange)
    assert isinstance(step, oauth_core.Send)
    assert dict(step.headers)["accept"] == "application/token-introspection+jwt"
    plain = (200, [("content-type", "application/json")], b'{"active":true}')
    with pytest.raises(oauth_core.OAuthError) as caught:
        exchange.send(plain)
    assert caught.value.code == "introspection.not_signed"
