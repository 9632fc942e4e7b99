"""Fixed tokens, APIs whose routes need the token of the application or of the user, and rate limits."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from conftest import CALLBACK, Twin, approve, reply
from test_plugins import WAYS, Start

import oauth_core
import oauth_core.httpx
import oauth_core.requests

Twins = dict[str, Twin]


def uservoice(twin: Twin) -> oauth_core.Server:
    return oauth_core.provider("uservoice", subdomain="acme", loopback=twin.base)


def test_a_fixed_token_is_used_and_its_revocation_reported(twins: Twins) -> None:
    twin = twins["uservoice"]
    text = twin.console_token()
    source = oauth_core.fixed_token(text, origins=uservoice(twin))
    assert isinstance(source, oauth_core.TokenSource)
    url = f"{twin.base}/api/v2/admin/suggestions"
    assert source.get(url).status == 200 and text not in repr(source)
    assert asyncio.run(source.aget(url)).status == 200
    twin.expire()
    calls = twin.counters["api_calls"]
    with pytest.raises(oauth_core.DeniedError) as caught:
        source.get(url)
    assert (caught.value.code, caught.value.advice) == ("grant.revoked", "reauthorize")
    assert twin.counters["api_calls"] == calls + 1 and text not in str(caught.value)
    assert twin.counters["token_requests"] == 0


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_plugin_uses_a_fixed_token_and_reports_its_revocation(twins: Twins, way: str) -> None:
    twin = twins["uservoice"]
    token = oauth_core.fixed_token(
        twin.console_token(), origins=[twin.base], transport="loopback_http"
    )
    url = f"{twin.base}/api/v2/admin/suggestions"
    send: Any = WAYS[way]
    assert send(token, None, url) == 200
    twin.expire()
    with pytest.raises(oauth_core.DeniedError) as caught:
        send(token, None, url)
    assert caught.value.code == "grant.revoked"


def test_a_fixed_token_is_read_each_time(
    twins: Twins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = twins["uservoice"]
    server, url = uservoice(twin), f"{twin.base}/api/v2/admin/suggestions"
    path = tmp_path / "token"
    by_file = oauth_core.fixed_token(file=path, origins=server)
    by_env = oauth_core.fixed_token(env="OAUTH_CORE_TEST_TOKEN", origins=server)
    by_callback = oauth_core.fixed_token(callback=path.read_text, origins=server)
    for source in (by_file, by_env):
        with pytest.raises(oauth_core.MisuseError) as caught:
            source.get(url)
        assert caught.value.code == "token_source.unreadable"
    with pytest.raises(FileNotFoundError):
        by_callback.get(url)
    for _ in range(2):
        path.write_text(twin.console_token())
        monkeypatch.setenv("OAUTH_CORE_TEST_TOKEN", path.read_text())
        assert os.environ["OAUTH_CORE_TEST_TOKEN"]
        for source in (by_file, by_env, by_callback):
            assert source.get(url).status == 200
    expired = oauth_core.fixed_token("a", origins=server, expires_at=1)
    with pytest.raises(oauth_core.MisuseError) as caught:
        expired.get(url)
    assert caught.value.code == "grant.expired"
    with pytest.raises(TypeError):
        oauth_core.fixed_token("a", env="B", origins=server)


class CustomSource:
    def __init__(self, text: str) -> None:
        self.text = text
        self.requests: list[str] = []

    def token(self) -> oauth_core.Tokens:
        self.requests.append("token")
        return oauth_core.Tokens.bearer("refused")

    def renew(self, tokens: oauth_core.Tokens) -> oauth_core.Tokens:
        self.requests.append(f"renew {tokens.access_token}")
        return oauth_core.Tokens.bearer(self.text)

    def invalidate(self, tokens: oauth_core.Tokens) -> None:
        self.requests.append("invalidate")


@pytest.mark.parametrize("way", [*sorted(WAYS), "none"])
def test_renew_of_a_custom_token_source_is_called_after_a_401(twins: Twins, way: str) -> None:
    twin = twins["uservoice"]
    source = CustomSource(twin.console_token())
    assert isinstance(source, oauth_core.TokenSource)
    api = oauth_core.Api(source, origins=[twin.base], transport="loopback_http")
    url = f"{twin.base}/api/v2/admin/suggestions"
    if way == "none":
        assert api.get(url).status == 200
    else:
        send: Any = WAYS[way]
        assert send(api, None, url) == 200
    assert source.requests == ["token", "renew refused"]


def socios(twin: Twin) -> tuple[oauth_core.GrantSource, oauth_core.GrantSource, oauth_core.Server]:
    client = twin.client("socios")
    flow = client.authorize(redirect_uri=CALLBACK, extra={"partner_tag": "acme"})
    tokens = client.redeem(flow, approve(flow.url))
    return client.client_credentials(), client.source(tokens), client.server


OWNERS = {
    "/user/polls": "user",
    "/wallet/1.0.0/user/wallet": "user",
    "/%75ser/polls": "user",
    "//user": "user",
    "/users": "application",
    "/poll/user-1": "application",
    "/User/polls": "application",
    "/%55ser": "application",
    "/polls?by=/user/": "application",
    "/polls#/user": "application",
    "/polls%2Fuser": "resource.route_ambiguous",
    "/polls%5Cuser": "resource.route_ambiguous",
    "/user;v=1/polls": "resource.route_ambiguous",
    "/%2575ser": "resource.route_ambiguous",
    "/user%2f..%2fpolls": "resource.route_ambiguous",
}


def test_each_route_gets_the_token_of_its_owner(twins: Twins) -> None:
    twin = twins["socios"]
    app, user, server = socios(twin)
    api = server.api(app=app, user=user)
    for path, expected in OWNERS.items():
        try:
            owner = str(api.owner(twin.base + path))
        except oauth_core.MisuseError as error:
            owner = error.code
        assert owner == expected, path
    for path in ("/user/polls", "/polls/1.0.0/polls"):
        assert api.get(twin.base + path).status == 200
        wrong = app if "user" in path else user
        assert wrong.get(twin.base + path).status == 403, "the twin accepts only the token of the owner"


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_plugin_uses_the_token_of_the_owner_of_each_route(twins: Twins, way: str) -> None:
    twin = twins["socios"]
    app, user, server = socios(twin)
    send: Any = WAYS[way]
    api = server.api(app=app, user=user)
    assert send(api, None, f"{twin.base}/user/polls") == 200
    assert send(api, None, f"{twin.base}/polls/1.0.0/polls") == 200
    calls = twin.counters["api_calls"]
    with pytest.raises(oauth_core.MisuseError) as caught:
        send(server.api(app=app), None, f"{twin.base}/user/polls")
    assert caught.value.code == "resource.no_token_source"
    assert twin.counters["api_calls"] == calls


def test_a_missing_token_source_is_reported_before_anything_is_sent(twins: Twins) -> None:
    twin = twins["socios"]
    app, _, server = socios(twin)
    with pytest.raises(oauth_core.MisuseError) as caught:
        server.api(app=app).get(f"{twin.base}/user/polls")
    assert caught.value.code == "resource.no_token_source"
    assert twin.counters["api_calls"] == 0


def test_a_redirect_to_the_route_of_another_owner_is_rejected(twins: Twins, plain: Start) -> None:
    app, user, server = socios(twins["socios"])
    api_server = plain(reply(302, location="/user/polls"))
    api = server.api(app=app, user=user, origins=[api_server.base])
    with pytest.raises(oauth_core.MalformedError) as caught:
        requests.get(f"{api_server.base}/polls", auth=oauth_core.requests.Auth(api), timeout=30)
    assert caught.value.code == "resource.redirect"
    assert len(api_server.seen) == 1, "the redirect was not followed"


@pytest.mark.parametrize("way", [way for way in sorted(WAYS) if way.startswith("httpx")])
def test_httpx_sends_no_token_to_the_route_of_another_owner(
    twins: Twins, plain: Start, way: str
) -> None:
    """The client follows redirects before a plug-in can see them."""
    app, user, server = socios(twins["socios"])
    send: Any = WAYS[way]
    for target, request_count in (("/user/polls", 2), ("/polls/2", 3)):
        first, second = reply(302, location=target), reply(200)

        def respond(handler: Any, first: Any = first) -> None:
            token = handler.headers.get("authorization")
            (first if handler.path == "/polls" else second if token else reply(401))(handler)

        api_server = plain(respond)
        api = server.api(app=app, user=user, origins=[api_server.base])
        if request_count == 2:
            with pytest.raises(oauth_core.MalformedError) as caught:
                send(api, None, f"{api_server.base}/polls")
            assert caught.value.code == "resource.redirect"
        else:
            assert send(api, None, f"{api_server.base}/polls") == 200
        bearer = f"bearer {app.token().access_token}".lower()
        seen = [headers.get("authorization", "").lower() for _, _, headers, _ in api_server.seen]
        assert seen == [bearer, "", bearer][:request_count]


def limited(twin: Twin, seconds: int = 1) -> tuple[oauth_core.GrantSource, str]:
    twin.rate_limit(10, seconds)
    source = twin.client("usertesting").client_credentials(scope="studies:read")
    return source, f"{twin.base}/api/v2/sessionResults/?testId=1"


def test_a_rate_limited_request_waits_and_reports_the_wait(twins: Twins) -> None:
    twin = twins["usertesting"]
    # Long enough that no window ends among the first ten.
    source, url = limited(twin, 3)
    pauses: list[float] = []
    api = oauth_core.Api(source, on_rate_limit="wait", on_wait=pauses.append)
    assert [api.get(url).status for _ in range(12)] == [200] * 12
    assert pauses and twin.counters["api_calls"] > 12
    with pytest.raises(oauth_core.DeniedError) as caught:
        for _ in range(30):
            api.get(url, longest_wait=0)
    assert caught.value.code == "resource.rate_limited" and caught.value.retry_after


def test_fifty_callers_stay_within_the_allowance(twins: Twins) -> None:
    twin = twins["usertesting"]
    source, url = limited(twin)
    api = oauth_core.Api(source, on_rate_limit="wait", allowance=(10, 1))
    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda _: api.get(url).status, range(50)))
    assert replies == [200] * 50
    assert twin.counters["api_calls"] == 50, "none was refused and sent again"


def test_rate_limited_callers_are_served_in_order(twins: Twins) -> None:
    twin = twins["usertesting"]
    source, url = limited(twin)
    # One at a time, because replies to concurrent requests may arrive in any order.
    api = oauth_core.Api(source, on_rate_limit="wait", allowance=(1, 1))
    order: list[int] = []

    async def call(number: int) -> None:
        assert (await api.aget(url)).status == 200
        order.append(number)

    async def main() -> None:
        await source.atoken()
        await asyncio.gather(*(call(number) for number in range(5)))

    asyncio.run(main())
    assert order == [0, 1, 2, 3, 4]


def test_an_api_uses_the_origins_of_its_fixed_token(twins: Twins) -> None:
    twin = twins["uservoice"]
    source = oauth_core.fixed_token(twin.console_token(), origins=uservoice(twin))
    url = f"{twin.base}/api/v2/admin/suggestions"
    assert oauth_core.Api(source, on_rate_limit="wait").get(url).status == 200
    with pytest.raises(oauth_core.MisuseError) as caught:
        oauth_core.Api(source, allowance="documented")
    assert caught.value.code == "api.rate_limit_undocumented"


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_plugin_respects_a_rate_limit_allowance(twins: Twins, way: str) -> None:
    twin = twins["usertesting"]
    source, url = limited(twin)
    api = oauth_core.Api(source, on_rate_limit="wait", allowance=(10, 1))
    send: Any = WAYS[way]
    assert [send(api, None, url) for _ in range(12)] == [200] * 12
    assert twin.counters["api_calls"] == 12


def test_concurrent_tasks_of_a_plugin_share_a_rate_limit_allowance(twins: Twins) -> None:
    twin = twins["usertesting"]
    source, url = limited(twin)
    api = oauth_core.Api(source, on_rate_limit="wait", allowance=(10, 1))

    async def main() -> set[int]:
        async with httpx.AsyncClient(auth=oauth_core.httpx.Auth(api)) as http:
            pending = (http.get(url, timeout=30) for _ in range(25))
            return {got.status_code for got in await asyncio.gather(*pending)}

    assert asyncio.run(main()) == {200}
    assert twin.counters["api_calls"] == 25


def test_a_custom_provider_file_is_read_from_a_path_or_a_string(twins: Twins, tmp_path: Path) -> None:
    shown = sorted(Path(__file__).parents[3].glob("crates/oauth-providers/**/socios.toml"))
    twin = twins["socios"]
    app, user, _ = socios(twin)
    for provider_file in (shown[0], shown[0].read_text()):
        server = oauth_core.provider_file(provider_file, loopback=twin.base)
        api = server.api(app=app, user=user)
        assert api.get(f"{twin.base}/user/polls").status == 200
