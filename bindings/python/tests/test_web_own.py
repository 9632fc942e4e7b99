"""The sessions, cookie names, forms and settings of a site, and ended grants."""

from __future__ import annotations

from typing import Any

import fastapi
import flask
import pytest
from conftest import Twin
from examples import web_settings
from fastapi.testclient import TestClient
from test_web_site import BASE, KEY, PAGE, make_request, sign_in, site

import oauth_core
from oauth_core.stores import MemoryStore
from oauth_core.web import Need, Provider, Reply, Site, User, wsgi
from oauth_core.web import fastapi as fastapi_web
from oauth_core.web import flask as flask_web


def test_a_session_of_another_client_or_path_is_rejected(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    cookie, _ = sign_in(site(client))
    headers = [*PAGE, ("cookie", cookie)]
    assert isinstance(site(client).visit(make_request("/", headers=headers)), User)
    other = oauth_core.Client(client.server, client_id="another", client_secret="secret")
    assert site(other).visit(make_request("/", headers=headers)) is None
    assert site(client, base_url=f"{BASE}/b").visit(make_request("/b/", headers=headers)) is None
    # If the client is not loaded yet, `registered` identifies its sessions.
    issuer = client.server.issuer
    for client_id, is_known in ((client.client_id, True), ("another", False)):
        connecting = Provider(lambda: client, registered=(issuer, client_id))
        user = site(client, providers=[connecting]).visit(make_request("/", headers=headers))
        assert isinstance(user, User) is is_known


def test_sites_at_different_paths_have_different_cookie_names(generic: Twin, client: oauth_core.Client) -> None:
    names: set[str] = set()
    for path in ("", "/a", "/b"):
        web = site(client, base_url=f"{BASE}{path}")
        sent = web.visit(make_request(f"{path}/me"), "signed_in")
        assert isinstance(sent, Reply)
        flows = [value for name, value in sent.headers if name == "set-cookie"]
        names.update(flow.partition("-flow-")[0] for flow in flows if "-flow-" in flow)
    assert names == {"oauth-session", "a-oauth-session", "b-oauth-session"}


def test_cross_site_forms_are_passed_to_open_pages_only(client: oauth_core.Client) -> None:
    headers = [*PAGE, ("origin", "https://bank.example"), ("sec-fetch-site", "cross-site")]
    posted = make_request("/payment/return", method="POST", headers=headers)
    assert site(client).visit(posted) is None
    refused = site(client).visit(posted, "signed_in")
    assert isinstance(refused, Reply) and refused.status == 403


@pytest.mark.parametrize("option", ["claims", "return_origins", "old_keys"])
def test_a_str_is_rejected_for_a_list_option(client: oauth_core.Client, option: str) -> None:
    with pytest.raises(TypeError, match=f"{option} must be a list"):
        site(client, **{option: "email"})


@pytest.mark.parametrize("need", [Need(acr="mfa"), Need(scope="read")])
def test_a_str_is_rejected_for_a_list_in_a_need(client: oauth_core.Client, need: Need) -> None:
    with pytest.raises(TypeError, match="must be a list"):
        site(client).visit(make_request("/pay"), "signed_in", need)


def test_oauth_transport_allows_loopback_http(generic: Twin) -> None:
    environ = {**web_settings(generic), "OAUTH_TRANSPORT": "loopback_http"}
    assert Site.from_env(environ=environ)
    for transport in ("https", ""):
        with pytest.raises(oauth_core.MisuseError, match="OAUTH_TRANSPORT=loopback_http"):
            Site.from_env(environ={**environ, "OAUTH_TRANSPORT": transport})
    with pytest.raises(oauth_core.MisuseError, match="OAUTH_TRANSPORT") as caught:
        Site.from_env(environ={**environ, "OAUTH_TRANSPORT": "http"})
    assert caught.value.code == "web.setup"


def test_a_user_whose_grant_has_ended_is_redirected_to_the_login(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    scope = "openid read offline_access"
    web = site(client, store=MemoryStore(), providers=[Provider(client, scope=scope)])

    def page(environ: Any, start_response: Any) -> list[bytes]:
        user = wsgi.user(environ)
        assert user is not None
        user.fetch(f"{generic.base}/api/echo", origins=[generic.base])
        start_response("200 OK", [])
        return [b"orders"]

    guarded = wsgi.SignIn(page, web)
    for accept, status in (("text/html", "303"), ("application/json", "401")):
        cookie, _ = sign_in(web)
        generic.revoke()
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": "/orders", "REQUEST_URI": "/orders", "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_ACCEPT": accept, "HTTP_COOKIE": cookie,
        }
        received: list[Any] = []
        guarded(environ, lambda status, headers: received.append((status, dict(headers))))
        assert received[0][0].startswith(status)
        if status == "303":
            assert received[0][1]["Location"] == "/auth/login?return_to=%2Forders"
    # An error of another client is passed to the application.
    def failing(environ: Any, start_response: Any) -> list[bytes]:
        raise caught.value

    with pytest.raises(oauth_core.OAuthError) as caught:
        cookie, user = sign_in(web)
        generic.revoke()
        user.fetch(f"{generic.base}/api/echo", origins=[generic.base])
    with pytest.raises(oauth_core.OAuthError):
        cookie, _ = sign_in(web)
        wsgi.SignIn(failing, web)({**environ, "HTTP_COOKIE": cookie}, lambda *_: None)


def test_flask_and_fastapi_redirect_users_whose_grant_has_ended(generic: Twin, client: oauth_core.Client) -> None:
    generic.register(f"{BASE}/auth/callback")
    provider = Provider(client, scope="openid read offline_access")
    settings: dict[str, Any] = {
        "providers": [provider], "base_url": BASE, "key": KEY, "store": MemoryStore(), "transport": "loopback_http",
    }
    ours, theirs = flask.Flask("ours"), fastapi.FastAPI()
    for_flask, for_fastapi = flask_web.Site(ours, **settings), fastapi_web.Site(theirs, **settings)

    @ours.get("/orders")
    @for_flask.required
    def orders() -> str:
        return str(for_flask.user.fetch(f"{generic.base}/api/echo", origins=[generic.base]).status)

    @theirs.get("/orders")
    async def calls(user: User = for_fastapi.user) -> int:
        return (await user.afetch(f"{generic.base}/api/echo", origins=[generic.base])).status

    browsers: list[Any] = [ours.test_client(use_cookies=False), TestClient(theirs, base_url=BASE, follow_redirects=False)]
    for web, browser in zip((for_flask, for_fastapi), browsers):
        cookie, _ = sign_in(web)
        assert browser.get("/orders", headers={"accept": "text/html", "cookie": cookie}).status_code == 200
        generic.revoke()
        led = browser.get("/orders", headers={"accept": "text/html", "cookie": cookie})
        assert led.status_code == 303, led.text
        assert led.headers["location"] == "/auth/login?return_to=%2Forders"
        cookie, _ = sign_in(web)
        generic.revoke()
        assert browser.get("/orders", headers={"accept": "*/*", "cookie": cookie}).status_code == 401
