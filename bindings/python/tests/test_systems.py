"""Every documented flow of the four systems, against their twins."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import CALLBACK, Twin, approve

import oauth_core

GUID = "0oa1partnerapp2345678"
Twins = dict[str, Twin]


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def uservoice_public(twin: Twin, *options: str) -> oauth_core.Client:
    server = oauth_core.provider(
        "uservoice", subdomain="acme", loopback=twin.base, options=list(options)
    )
    return oauth_core.Client(server, client_id=twin.data["public_client_id"])


def test_uservoice_trusted_client(twins: Twins) -> None:
    twin = twins["uservoice"]
    source = twin.client("uservoice", variables={"subdomain": "acme"}).client_credentials()
    tokens = source.token()
    assert (tokens.token_type, tokens.expires_in, tokens.expires_at) == ("Bearer", None, None)
    assert tokens.refresh_token is None and tokens.scope == frozenset()
    sent = twin.entry("/api/v2/oauth/token")
    assert set(sent["form"]) == {"grant_type", "client_id", "client_secret"}
    assert "authorization" not in sent["headers"]
    reply = source.get(f"{twin.base}/api/v2/admin/suggestions")
    assert (reply.status, reply.json()["suggestions"][0]["title"]) == (200, "More twins")
    assert twin.counters["token_requests"] == 1


def test_uservoice_token_is_renewed_once_after_a_401(twins: Twins) -> None:
    twin = twins["uservoice"]
    source = twin.client("uservoice", variables={"subdomain": "acme"}).client_credentials()
    url = f"{twin.base}/api/v2/admin/suggestions"
    first = source.token()
    twin.expire()
    assert source.get(url).status == 200
    assert source.token().access_token != first.access_token
    counters = twin.counters
    assert (counters["token_requests"], counters["api_401"], counters["api_calls"]) == (2, 1, 2)


def test_uservoice_public_client_with_pkce(twins: Twins) -> None:
    twin = twins["uservoice"]
    client = uservoice_public(twin)
    flow = client.authorize(redirect_uri=CALLBACK)
    assert urlsplit(flow.url).path == "/api/v2/oauth/auth"
    params = query(flow.url)
    assert params["code_challenge_method"] == "S256" and "code_verifier" not in params
    tokens = client.redeem(flow, approve(flow.url))
    sent = twin.entry("/api/v2/oauth/token")["form"]
    assert "code_verifier" in sent and "client_secret" not in sent
    reply = client.source(tokens).get(f"{twin.base}/api/v2/end_users/me")
    assert reply.status == 200 and reply.json()["users"]


def test_uservoice_challenge_as_verifier_is_an_option(twins: Twins) -> None:
    twin = twins["uservoice"]
    client = uservoice_public(twin, "challenge_as_verifier")
    flow = client.authorize(redirect_uri=CALLBACK)
    params = query(flow.url)
    assert params["code_verifier"] == params["code_challenge"]
    assert client.redeem(flow, approve(flow.url)).access_token


@pytest.mark.parametrize("subdomain", ["evil.example/", "", "a b", "-a", "evil.example#"])
def test_uservoice_subdomain_that_is_not_one_label_is_rejected(subdomain: str) -> None:
    with pytest.raises(oauth_core.MisuseError) as caught:
        oauth_core.provider("uservoice", subdomain=subdomain)
    assert caught.value.code == "provider.variable"


def test_usertesting_client_credentials(twins: Twins) -> None:
    twin = twins["usertesting"]
    client = twin.client("usertesting")
    source = client.client_credentials(scope="studies:read")
    tokens = source.token()
    assert tokens.expires_in == 3600 and tokens.scope == {"studies:read"}
    assert tokens.refresh_token is None and tokens.issuer == client.server.issuer
    sent = twin.entry("/oauth2/aus1p3vtd8vtm4Bxv0h8/v1/token")
    assert sent["form"]["client_secret"] == "[redacted]"
    for version in ("v1", "v2"):
        url = f"{twin.base}/api/{version}/sessionResults/?testId=7"
        assert source.get(url).json()["testId"] == "7"


def test_usertesting_accepts_the_older_scope(twins: Twins) -> None:
    source = twins["usertesting"].client("usertesting").client_credentials(scope="public_api.read")
    assert source.token().scope == {"public_api.read"}


def test_usertesting_rate_limit_is_reported_with_retry_after(twins: Twins) -> None:
    twin = twins["usertesting"]
    source = twin.client("usertesting").client_credentials(scope="studies:read")
    url = f"{twin.base}/api/v2/sessionResults/?testId=1"
    assert [source.get(url).status for _ in range(10)] == [200] * 10
    with pytest.raises(oauth_core.DeniedError) as caught:
        source.get(url)
    assert caught.value.code == "resource.rate_limited"
    assert caught.value.retry_after is not None and 0 < caught.value.retry_after <= 61
    reply = source.get(url, on_rate_limit="pass")
    assert reply.status == 429 and reply.json()["errorCode"] == "TOO_MANY_REQUESTS"
    assert reply.retry_after is not None and 0 < reply.retry_after <= 60
    assert "x-ratelimit-reset" in reply.headers
    assert twin.counters["token_requests"] == 1


def test_usertesting_discovery_revocation_introspection(twins: Twins) -> None:
    twin = twins["usertesting"]
    issuer = twin.data["issuer"]
    server = oauth_core.discover(issuer, transport="loopback_http")
    assert server.issuer == issuer
    assert server.metadata["token_endpoint"] == f"{issuer}/v1/token"
    data = twin.data
    auth = oauth_core.ClientSecretPost(data["client_secret"])
    client = oauth_core.Client(server, client_id=data["client_id"], client_auth=auth)
    token = client.client_credentials(scope="studies:read").token().access_token
    state = client.introspect(token=token, token_type_hint="access_token")
    assert state.active and state.scope == frozenset(["studies:read"])
    client.revoke(token=token)
    assert client.introspect(token=token) == oauth_core.IntrospectionResponse(active=False)


def test_usertesting_apps_registered_redirects(twins: Twins) -> None:
    twin = twins["usertesting-apps"]
    uris = twin.data["redirect_uris"]
    client = twin.client("usertesting-apps", variables={"guid": GUID}, redirect_uris=uris)
    flow = client.authorize(redirect_uri=uris[0], scope="clips:read studies:read")
    assert "secret" not in flow.url
    tokens = client.redeem(flow, approve(flow.url))
    assert tokens.scope == {"clips:read", "studies:read"}
    reply = client.source(tokens).get(f"{twin.base}/api/v2/sessionResults/?testId=1")
    assert reply.status == 200
    assert twin.counters["secrets_in_url"] == 0


@pytest.mark.parametrize("uri", [CALLBACK + "/", "http://127.0.0.1:8401/callback"])
def test_usertesting_apps_rejects_unregistered_redirect_uris(twins: Twins, uri: str) -> None:
    twin = twins["usertesting-apps"]
    uris = twin.data["redirect_uris"]
    client = twin.client("usertesting-apps", variables={"guid": GUID}, redirect_uris=uris)
    with pytest.raises(oauth_core.MisuseError) as caught:
        client.authorize(redirect_uri=uri, scope="clips:read")
    assert caught.value.code == "redirect_uri.not_registered"


def test_usertesting_apps_requires_a_registered_redirect_uri(twins: Twins) -> None:
    client = twins["usertesting-apps"].client("usertesting-apps", variables={"guid": GUID})
    with pytest.raises(oauth_core.MisuseError) as caught:
        client.authorize(redirect_uri=CALLBACK)
    assert caught.value.code == "redirect_uri.not_registered"


def test_usertesting_apps_secret_in_a_url_is_rejected(twins: Twins) -> None:
    twin = twins["usertesting-apps"]
    client = twin.client("usertesting-apps", variables={"guid": GUID}, redirect_uris=[CALLBACK])
    for name in ("client_secret", "x"):
        with pytest.raises(oauth_core.MisuseError) as caught:
            client.authorize(redirect_uri=CALLBACK, extra={name: twin.data["client_secret"]})
        assert caught.value.code == "form.secret_in_url"
        assert twin.data["client_secret"] not in str(caught.value)


def test_socios_application_token(twins: Twins) -> None:
    twin = twins["socios"]
    source = twin.client("socios").client_credentials()
    tokens = source.token()
    assert tokens.expires_in == 7200 and tokens.token_type == "Bearer"
    sent = twin.entry("/oauth2/token")
    assert "authorization" in sent["headers"] and "client_secret" not in sent["form"]
    reply = source.get(f"{twin.base}/polls/1.0.0/polls")
    assert reply.json()["data"][0]["title"] == "Which song?"
    assert source.get(f"{twin.base}/user/polls").status == 403


def test_socios_connect(twins: Twins) -> None:
    twin = twins["socios"]
    client = twin.client("socios")
    extra = {"partner_tag": "acme", "campaign": "spring", "param1": "1"}
    flow = client.authorize(redirect_uri=CALLBACK, extra=extra)
    assert extra.items() <= query(flow.url).items()
    tokens = client.redeem(flow, approve(flow.url))
    sent = twin.entry("/oauth2/token")
    assert {"code", "client_id", "client_secret", "redirect_uri"} <= set(sent["form"])
    assert "authorization" not in sent["headers"]
    source = client.source(tokens)
    assert source.get(f"{twin.base}/wallet/1.0.0/user/wallet").json()["data"]["userId"]
    assert source.get(f"{twin.base}/user/polls").status == 200
    vote = source.request(
        "POST",
        f"{twin.base}/user/poll/9/vote",
        headers={"content-type": "application/json"},
        content=b'{"option":1}',
    )
    assert vote.json()["data"] == {"pollId": "9"}
    assert source.get(f"{twin.base}/polls/1.0.0/polls").status == 403


def test_socios_refresh_rotates_and_a_revoked_token_is_renewed(twins: Twins) -> None:
    twin = twins["socios"]
    client = twin.client("socios")
    flow = client.authorize(redirect_uri=CALLBACK, extra={"partner_tag": "acme"})
    first = client.redeem(flow, approve(flow.url))
    second = client.refresh(tokens=first)
    assert second.refresh_token and second.refresh_token != first.refresh_token
    assert twin.counters["reuse_events"] == 0
    client.revoke(token=second.access_token)
    client.revoke(token="never seen")
    assert twin.counters["revocations"] == 2
    url = f"{twin.base}/user/polls"
    assert client.source(second).get(url).status == 200, "a revoked token is renewed after its 401"
    assert twin.counters["api_401"] == 1


def test_socios_reserved_parameters_cannot_be_overridden(twins: Twins) -> None:
    with pytest.raises(oauth_core.MisuseError) as caught:
        twins["socios"].client("socios").authorize(redirect_uri=CALLBACK, extra={"state": "mine"})
    assert caught.value.code == "form.reserved_parameter"


def test_all_four_in_coroutines(twins: Twins) -> None:
    async def main() -> None:
        socios = twins["socios"].client("socios")
        usertesting = twins["usertesting"].client("usertesting")
        uservoice = twins["uservoice"].client("uservoice", variables={"subdomain": "acme"})
        tokens = await asyncio.gather(
            socios.client_credentials().atoken(),
            usertesting.client_credentials(scope="studies:read").atoken(),
            uservoice.client_credentials().atoken(),
        )
        assert all(token.access_token for token in tokens)
        flow = socios.authorize(redirect_uri=CALLBACK)
        person = await socios.aredeem(flow, approve(flow.url))
        person = await socios.arefresh(tokens=person)
        reply = await socios.source(person).aget(f"{twins['socios'].base}/user/polls")
        assert reply.status == 200
        await socios.arevoke(token=person.access_token, token_type_hint="access_token")
        state = await usertesting.aintrospect(token=tokens[1].access_token)
        assert state.active
        issuer = twins["usertesting"].data["issuer"]
        server = await oauth_core.adiscover(issuer, transport="loopback_http")
        assert server.issuer == issuer

    asyncio.run(main())
