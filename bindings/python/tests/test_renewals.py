"""Renewal with the access token, as described in a preset."""

from __future__ import annotations

import json

import pytest
from conftest import CALLBACK, Twin, approve
from servers import until

import oauth_core

PRESET = """
name = "renews"
title = "A server that renews access tokens with themselves"
issuer = "https://as.example"
client_auth = "post"
grants = ["authorization_code"]
api = ["https://as.example/api"]

[endpoints]
authorization_endpoint = "https://as.example/authorize"
token_endpoint = "https://as.example/token"

[[renewals]]
endpoint = "https://as.example/access_token"
grant_type = "exchange_token"
token_parameter = "short_lived_token"
authenticated = true
shorter_than = 86400

[[renewals]]
endpoint = "https://as.example/refresh_access_token"
grant_type = "refresh_token"
token_parameter = "access_token"
earliest_age = 86400
"""


def client_of(twin: Twin) -> oauth_core.Client:
    twin.withhold_refresh_tokens()
    server = oauth_core.provider_file(PRESET, loopback=twin.base)
    data = twin.data
    auth = oauth_core.ClientSecretPost(data["client_secret"])
    return oauth_core.Client(server, client_id=data["client_id"], client_auth=auth)


def login(client: oauth_core.Client) -> oauth_core.Tokens:
    flow = client.authorize(redirect_uri=CALLBACK, scope="read")
    return client.redeem(flow, approve(flow.url))


def received_earlier(tokens: oauth_core.Tokens, seconds: int) -> oauth_core.Tokens:
    stored = json.loads(tokens.serialize())
    stored["received_at"] -= seconds
    stored["refresh_token_use_by"] -= seconds
    return oauth_core.Tokens.deserialize(json.dumps(stored))


def test_a_short_lived_token_is_exchanged_at_once_and_used_until_then(generic: Twin) -> None:
    client = client_of(generic)
    short = login(client)
    source = client.source(short)
    url = f"{generic.base}/api/echo"
    assert source.get(url).status == 200
    until(lambda: generic.counters["renewals"] == 1, "the exchange")
    until(lambda: (source.token().expires_in or 0) > 86_400, "the long-lived token")
    assert source.get(url).status == 200
    assert source.token().access_token != short.access_token
    # All callers share one exchange.
    assert generic.counters["renewals"] == 1


def test_an_expired_access_token_is_not_exchanged_and_requires_a_new_login(generic: Twin) -> None:
    client = client_of(generic)
    source = client.source(received_earlier(login(client), 10_000))
    with pytest.raises(oauth_core.OAuthError) as caught:
        source.token()
    assert (caught.value.code, caught.value.advice) == ("grant.no_refresh_token", "reauthorize")
    assert generic.counters["renewals"] == 0


def test_the_presets_of_meta_exist_and_have_api_origins() -> None:
    for name in ("facebook", "instagram", "threads"):
        assert name in oauth_core.providers()
        assert oauth_core.provider(name).api_origins
