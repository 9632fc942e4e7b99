"""npm's oidc-provider, a certified third-party server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from conftest import browse

import oauth_core


def client_of(oidc: Any, which: str) -> oauth_core.Client:
    server = oauth_core.discover(oidc["issuer"], transport="loopback_http")
    data = oidc["clients"][which]
    auths: dict[str, oauth_core.ClientAuth] = {
        "basic": oauth_core.ClientSecretBasic(data.get("client_secret", "")),
        "post": oauth_core.ClientSecretPost(data.get("client_secret", "")),
        "native": oauth_core.Public(),
    }
    return oauth_core.Client(server, client_id=data["client_id"], client_auth=auths[which])


@pytest.mark.parametrize("which", ["basic", "post"])
def test_client_credentials_with_special_characters_are_accepted(oidc: Any, which: str) -> None:
    tokens = client_of(oidc, which).client_credentials(scope="read").token()
    assert tokens.scope == {"read"} and tokens.expires_in == 60


def of_algorithm(oidc: Any, which: str) -> oauth_core.Client:
    data = oidc["clients"][which]
    alg: Any = which.split("-")[1]
    auth: oauth_core.ClientAuth
    if "private_key" in data:
        auth = oauth_core.PrivateKeyJwt(data["private_key"], kid="theirs", alg=alg)
    else:
        auth = oauth_core.ClientSecretJwt(data["client_secret"], alg=alg)
    return oauth_core.Client(
        oauth_core.discover(oidc["issuer"], transport="loopback_http"),
        client_id=data["client_id"],
        client_auth=auth,
        id_token_signed_response_alg=alg,
    )


@pytest.mark.parametrize(
    "which",
    [f"key-{alg}" for alg in "ES256 ES384 ES512 EdDSA Ed25519 RS256 RS512 PS256 PS384".split()]
    + ["secret-HS256", "secret-HS384", "secret-HS512"],
)
def test_a_client_authenticates_with_signed_assertions_and_verifies_id_tokens(oidc: Any, which: str) -> None:
    client = of_algorithm(oidc, which)
    token = client.client_credentials(scope="read").token().access_token
    assert client.introspect(token=token).active
    tokens = oauth_core.login(client, scope="openid read", open=browse, timeout=60)
    assert tokens.claims and tokens.claims["sub"] == "somebody"


def test_an_assertion_signed_with_the_key_of_another_client_is_rejected(oidc: Any) -> None:
    data = oidc["clients"]["key-ES256"]
    server = oauth_core.discover(oidc["issuer"], transport="loopback_http")
    foreign = oauth_core.PrivateKeyJwt(oidc["clients"]["key-EdDSA"]["private_key"], kid="theirs")
    client = oauth_core.Client(server, client_id=data["client_id"], client_auth=foreign)
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.client_credentials().token()
    assert caught.value.code == "denied.invalid_client"
    assert "PRIVATE" not in repr(foreign)


def test_discovery_returns_the_metadata(oidc: Any) -> None:
    server = oauth_core.discover(oidc["issuer"], transport="loopback_http")
    assert server.issuer == oidc["issuer"]
    assert server.metadata["token_endpoint"].startswith(oidc["issuer"])
    assert server.api_origins == ()
    again = oauth_core.Server.from_metadata(
        server.issuer, server.metadata, transport="loopback_http"
    )
    assert again.metadata == server.metadata


def test_a_login_is_refreshed_and_tokens_are_introspected_and_revoked(oidc: Any) -> None:
    client = client_of(oidc, "native")
    tokens = oauth_core.login(
        client,
        scope="openid offline_access read",
        open=browse,
        timeout=60,
        extra={"prompt": "consent"},
    )
    assert tokens.scope >= {"openid"} and tokens.id_token and tokens.refresh_token
    assert tokens.claims and tokens.claims["sub"] and tokens.claims["iss"] == tokens.issuer
    renewed = client.refresh(tokens=tokens)
    assert renewed.refresh_token and renewed.refresh_token != tokens.refresh_token
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.refresh(tokens=tokens)
    assert (caught.value.code, caught.value.advice) == ("denied.invalid_grant", "reauthorize")

    basic = client_of(oidc, "basic")
    token = basic.client_credentials(scope="read").token().access_token
    assert basic.introspect(token=token, token_type_hint="access_token").active
    basic.revoke(token=token, token_type_hint="access_token")
    assert basic.introspect(token=token) == oauth_core.IntrospectionResponse(active=False)


def test_a_login_runs_in_a_coroutine(oidc: Any) -> None:
    async def main() -> oauth_core.Tokens:
        client = client_of(oidc, "native")
        return await oauth_core.alogin(client, scope="openid", open=browse, timeout=60)

    assert asyncio.run(main()).id_token


def test_a_wrong_client_secret_is_reported_as_invalid_client(oidc: Any) -> None:
    server = oauth_core.discover(oidc["issuer"], transport="loopback_http")
    client = oauth_core.Client(
        server, client_id=oidc["clients"]["basic"]["client_id"], client_secret="not the secret"
    )
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.client_credentials().token()
    error = caught.value
    assert (error.code, error.status, error.error) == (
        "denied.invalid_client",
        401,
        "invalid_client",
    )
    assert error.endpoint == "token"
