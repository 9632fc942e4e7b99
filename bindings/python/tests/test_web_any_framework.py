"""Frameworks without a dedicated module: the ASGI and WSGI classes, and exceptions in frameworks."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from conftest import Twin
from litestar import Litestar, Request, get
from quart import Quart, request
from test_web_site import BASE, sign_in, site

import oauth_core
from oauth_core.stores import MemoryStore
from oauth_core.web import Provider, Site, User, asgi, wsgi

PAGE = {"accept": "text/html"}
SCRIPT = {"accept": "*/*"}


def stored(twin: Twin, client: oauth_core.Client) -> Site:
    twin.register(f"{BASE}/auth/callback")
    return site(client, store=MemoryStore(), providers=[Provider(client, scope="openid read offline_access")])


async def called(user: User | None, api: str) -> str:
    assert user is not None
    return str((await user.afetch(f"{api}/api/echo", origins=[api])).status)


def litestar(api: str) -> Any:
    @get("/orders")
    async def orders(request: Request[Any, Any, Any]) -> str:
        return await called(asgi.user(request.scope), api)  # type: ignore[arg-type]

    return Litestar([orders], logging_config=None)


def quart(api: str) -> Any:
    app = Quart("orders")

    @app.get("/orders")
    async def orders() -> str:
        return await called(asgi.user(request.scope), api)  # type: ignore[arg-type]

    return app


def requested(app: Any, headers: dict[str, str]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as browser:
            return await browser.get("/orders", headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize("make", [litestar, quart])
def test_a_user_whose_grant_has_ended_is_redirected_to_the_login(generic: Twin, client: oauth_core.Client, make: Any) -> None:
    web = stored(generic, client)
    app = asgi.SignIn(make(generic.base), web)
    for headers, status in ((PAGE, 303), (SCRIPT, 401)):
        cookie, _ = sign_in(web)
        page = requested(app, {**headers, "cookie": cookie})
        assert (page.status_code, page.text) == (200, "200")
        generic.revoke()
        led = requested(app, {**headers, "cookie": cookie})
        assert led.status_code == status, led.text
        if status == 303:
            assert led.headers["location"] == "/auth/login?return_to=%2Forders"
    # Without a session, the framework handles the exception as usual.
    assert requested(app, PAGE).status_code == 500


class Body(list[bytes]):
    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_a_wsgi_application_that_catches_the_exception_redirects_the_user_too(generic: Twin, client: oauth_core.Client) -> None:
    web = stored(generic, client)
    failed = Body([b"Internal Server Error"])

    def page(environ: Any, start_response: Any) -> list[bytes]:
        try:
            user = wsgi.user(environ)
            assert user is not None
            user.fetch(f"{generic.base}/api/echo", origins=[generic.base])
        except Exception:
            start_response("500 Internal Server Error", [])
            return failed
        start_response("200 OK", [])
        return [b"orders"]

    def visit(cookie: str) -> tuple[str, dict[str, str]]:
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": "/orders", "REQUEST_URI": "/orders", "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_ACCEPT": "text/html", "HTTP_COOKIE": cookie,
        }
        received: list[Any] = []
        list(wsgi.SignIn(page, web)(environ, lambda status, headers: received.append((status, dict(headers)))))
        [(status, headers)] = received
        return status, headers

    cookie, _ = sign_in(web)
    assert visit(cookie)[0] == "200 OK"
    generic.revoke()
    status, headers = visit(cookie)
    assert (status[:3], headers.get("Location")) == ("303", "/auth/login?return_to=%2Forders")
    assert failed.is_closed
    assert visit("")[0] == "500 Internal Server Error"
