"""Checks that apply to every web application with sign-in, whatever the framework."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from conftest import Twin
from servers import free_port, listens, until

APPS = Path(__file__).parent / "web_apps"
WHO = "user-248289761001"

# A busy machine may leave a connection idle for longer than uvicorn's five seconds, and reuse it as it closes.
PATIENT = ["--timeout-keep-alive", "60"]

# The commands with which users of each framework start it.
PROGRAMS = {
    "fastapi-uvicorn": ["-m", "uvicorn", "hello_fastapi:app", "--port", "{port}", *PATIENT],
    "asgi-uvicorn": ["-m", "uvicorn", "hello_asgi:app", "--port", "{port}", *PATIENT],
    "flask-run": ["-m", "flask", "--app", "hello_flask", "run", "--port", "{port}"],
    "flask-gunicorn": ["-m", "gunicorn", "hello_flask:app", "--threads", "60", "-b", "127.0.0.1:{port}"],
    "wsgi-waitress": ["-m", "waitress", "--threads", "60", "--listen", "127.0.0.1:{port}", "hello_wsgi:app"],
    "django-runserver": ["hello_django.py", "runserver", "--noreload", "127.0.0.1:{port}"],
    "django-uvicorn": ["-m", "uvicorn", "hello_django:application", "--port", "{port}", *PATIENT],
    "django-gunicorn": ["-m", "gunicorn", "hello_django:wsgi", "--threads", "60", "-b", "127.0.0.1:{port}"],
}


def refresh_target(reply: httpx2.Response) -> str | None:
    """The target of a page that redirects with `http-equiv=refresh`."""
    if "text/html" not in reply.headers.get("content-type", ""):
        return None
    refresh = re.search('http-equiv=refresh content="0;url=([^"]*)"', reply.text)
    return None if refresh is None else html.unescape(refresh[1])


def redirect_target(reply: httpx2.Response) -> str:
    """The target of a callback: of a redirect or, with a strict cookie, of a refreshing page."""
    return refresh_target(reply) or reply.headers["location"]


class Browser(httpx2.Client):
    """Follows redirects, and the refreshing page that a site with a strict cookie sends instead."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        reply = super().send(request, **options)
        target = refresh_target(reply) if self.follow_redirects else None
        if target is None:
            return reply
        page = super().send(self.build_request("GET", target), **options)
        page.history = [*reply.history, reply, *page.history]
        return page


class App:
    """An application on a socket, and its provider."""

    def __init__(self, base: str, twin: Twin, is_stored: bool) -> None:
        self.base = base
        self.twin = twin
        self.is_stored = is_stored

    @contextmanager
    def browser(self, follow: bool = True) -> Iterator[httpx2.Client]:
        headers = {"accept": "text/html,*/*;q=0.8"}
        with Browser(
            base_url=self.base, headers=headers, follow_redirects=follow, trust_env=False, timeout=30
        ) as browser:
            yield browser


@contextmanager
def running(
    name: str, twin: Twin, folder: Path, is_stored: bool, by_document: bool = False
) -> Iterator[App]:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    twin.register(f"{base}/auth/callback")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OAUTH_")},
        "OAUTH_ISSUER": twin.base,
        "OAUTH_CLIENT_ID": twin.data["client_id"],
        "OAUTH_CLIENT_SECRET": twin.data["client_secret"],
        "OAUTH_BASE_URL": base,
        "OAUTH_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="),
        "HELLO_DATABASE": str(folder / "django.sqlite3"),
        "PYTHONPATH": str(APPS),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if by_document:
        document = {
            "client_id": f"{base}/oauth/client.json",
            "client_name": "Hello",
            "redirect_uris": [f"{base}/auth/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        }
        environ["HELLO_CLIENT_METADATA"] = json.dumps(document)
        environ["OAUTH_CLIENT_ID"] = f"{base}/oauth/client.json"
        del environ["OAUTH_CLIENT_SECRET"]
    if is_stored:
        environ["OAUTH_STORE"] = f"sqlite://{folder}/sessions.sqlite3"
    if name.startswith("django"):
        migrate = [sys.executable, str(APPS / "hello_django.py"), "migrate", "-v", "0"]
        subprocess.run(migrate, env=environ, check=True, cwd=folder)
    command = [sys.executable, *(part.format(port=port) for part in PROGRAMS[name])]
    command = [str(APPS / part) if part == "hello_django.py" else part for part in command]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environ, cwd=folder, stdout=log, stderr=log)
        try:

            def is_reachable() -> bool:
                assert server.poll() is None, (folder / "log").read_text()
                return listens(port)

            until(is_reachable, f"{name} does not answer")
            yield App(base, twin, is_stored)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)


def sign_in_and_back(app: App) -> None:
    with app.browser() as ann:
        assert ann.get("/").text == "Hello, stranger"
        page = ann.get("/me")
        assert page.text == f"{WHO} has 3" and page.url.path == "/me"
        assert len(page.history) >= 3
        assert ann.get("/").text == f"Hello, {WHO}"
        # A page of the application carries no cookie of the site.
        assert "session" not in str(ann.get("/me").headers.get_list("set-cookie"))


def the_page_comes_back_as_it_was(app: App) -> None:
    target = "/pages/a%20b/%C3%A9?x=1%2B1&y=%26"
    with app.browser() as ann:
        page = ann.get(target)
        assert page.text == f"{WHO} reads a b/é", page.text
        assert str(page.url).removeprefix(app.base) == target


def scripts_get_401(app: App) -> None:
    with app.browser() as script:
        headers = {"accept": "*/*", "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}
        reply = script.get("/me", headers=headers)
        assert reply.status_code == 401, reply.text
        assert reply.headers["content-type"] == "application/problem+json"
        problem = reply.json()
        assert problem["code"] == "web.signed_out" and "/auth/login" in problem["login"]
        session = script.get("/auth/session", headers=headers).json()
        assert session["signed_in"] is False


def other_sites_change_nothing(app: App) -> None:
    with app.browser() as ann:
        ann.get("/me")
        foreign = ann.post("/cart", headers={"origin": "https://evil.example", "accept": "*/*"})
        assert foreign.status_code == 403 and foreign.json()["code"] == "web.cross_site"
        same_origin_response = ann.post("/cart", headers={"origin": app.base})
        assert same_origin_response.status_code == 200 and same_origin_response.text == "bought"


def two_tabs(app: App) -> None:
    with app.browser(follow=False) as ann:
        first, second = ann.get("/pages/one"), ann.get("/pages/two")
        if first.headers["location"].startswith("/auth/login"):
            first, second = ann.get(first.headers["location"]), ann.get(second.headers["location"])
        back = [ann.get(tab.headers["location"]).headers["location"] for tab in (first, second)]
        for callback, expected in zip(back, ("/pages/one", "/pages/two")):
            assert urlsplit(redirect_target(ann.get(callback))).path == expected
        # The back button.
        again = ann.get(back[0])
        assert again.status_code == 303 and "error" not in again.headers["location"]
        assert ann.get("/me").text == f"{WHO} has 3"


def sign_out(app: App) -> None:
    with app.browser() as ann:
        ann.get("/me")
        jar = dict(ann.cookies)
        assert "oauth-session" in jar
        assert "method=post" in ann.get("/auth/logout").text
        out = ann.post("/auth/logout?return_to=/", headers={"origin": app.base})
        assert out.text == "Hello, stranger" and out.url.path == "/"
        assert "oauth-session" not in dict(ann.cookies)
    if app.is_stored:
        with app.browser() as thief:
            thief.cookies.update(jar)
            assert thief.get("/").text == "Hello, stranger"


def no_open_redirect(app: App) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example", "/auth/logout"):
        with app.browser() as ann:
            page = ann.get("/auth/login", params={"return_to": elsewhere})
            assert page.text == f"Hello, {WHO}" and str(page.url) == f"{app.base}/", elsewhere


def the_error_page_is_the_applications(app: App) -> None:
    with app.browser() as ann:
        page = ann.get("/auth/nowhere")
        assert page.status_code == 404, page.text
        assert "<h1>Oh no: web.not_found" in page.text
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "content-security-policy" not in page.headers
        assert page.headers["cache-control"] == "no-store"
        # For scripts it stays what it is.
        reply = ann.get("/auth/nowhere", headers={"accept": "*/*"})
        assert reply.json()["code"] == "web.not_found"


def the_application_refuses(app: App) -> None:
    app.twin.claim("email", "barred@example.com")
    try:
        with app.browser() as ann:
            page = ann.get("/me")
            assert page.status_code == 403 and "web.not_admitted" in page.text
            assert "Members only." in page.text
            assert ann.get("/").text == "Hello, stranger"
    finally:
        app.twin.claim("email", "ann@example.com")


def a_page_can_require_a_step_up(app: App) -> None:
    with app.browser() as ann:
        ann.get("/me")
        short = ann.get("/pay")
        assert short.status_code == 403 and "web.step_up_failed" in short.text
        app.twin.claim("acr", "mfa")
        try:
            page = ann.get("/pay")
            assert page.text == "paid by mfa", page.text
        finally:
            app.twin.claim("acr", "pwd")


def a_form_too_large_is_not_read(app: App) -> None:
    with app.browser() as ann:
        reply = ann.post("/auth/callback", content=b"a" * 70_000)
        assert reply.status_code == 413


def fifty_fetches_at_expiry(app: App) -> None:
    """Only where tokens are kept."""
    with app.browser() as ann:
        ann.get("/me")
        first = ann.get("/fetch")
        assert first.text == "200", first.text
        app.twin.expire()
        before = app.twin.counters["token_requests"]
        jar = dict(ann.cookies)

        def fetch(_: int) -> str:
            with app.browser() as tab:
                tab.cookies.update(jar)
                return tab.get("/fetch").text

        with ThreadPoolExecutor(50) as pool:
            replies = list(pool.map(fetch, range(50)))
        assert replies == ["200"] * 50
        assert app.twin.counters["token_requests"] - before == 1


def pages_call_an_api(app: App) -> None:
    """With a token that they never see; only where tokens are kept."""
    csrf_headers = {"x-csrf-protection": "1", "accept": "*/*"}
    with app.browser() as ann:
        assert ann.get("/auth/api/twin/echo", headers=csrf_headers).status_code == 401
        ann.get("/me")
        assert ann.get("/auth/api/twin/echo", headers={"accept": "*/*"}).status_code == 403
        reply = ann.get("/auth/api/twin/echo?x=1", headers=csrf_headers)
        assert reply.status_code == 200, reply.text
        assert "sandbox" in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-store"
        posted = ann.post("/auth/api/twin/echo", headers={**csrf_headers, "origin": app.base}, content=b"a" * 100_000)
        # The API has answered: it wants another scope for that.
        assert posted.status_code == 403 and posted.json() == {"error": "insufficient_scope"}
        assert ann.delete("/auth/api/twin/echo", headers={**csrf_headers, "origin": app.base}).status_code == 405
        assert ann.get("/auth/api/twin/..%2fx", headers=csrf_headers).status_code == 400
        large = ann.post(
            "/auth/api/twin/echo", headers={**csrf_headers, "origin": app.base}, content=b"a" * (10 * 2**20 + 1)
        )
        assert large.status_code == 413


def an_ended_grant_ends_the_session(app: App) -> None:
    """Only where tokens are kept."""
    csrf_headers = {"x-csrf-protection": "1", "accept": "*/*"}
    with app.browser() as ann:
        # A page leads to sign in, and a script is told.
        for call, headers, status in (("/fetch", {}, 303), ("/auth/api/twin/echo", csrf_headers, 401)):
            ann.get("/me")
            assert ann.get(call, headers=headers).status_code == 200
            app.twin.revoke()
            assert ann.get(call, headers=headers, follow_redirects=False).status_code == status
            assert ann.get("/").text == "Hello, stranger", call


CHECKS: dict[str, Any] = {
    check.__name__: check
    for check in (
        sign_in_and_back,
        the_page_comes_back_as_it_was,
        scripts_get_401,
        other_sites_change_nothing,
        two_tabs,
        sign_out,
        no_open_redirect,
        the_error_page_is_the_applications,
        the_application_refuses,
        a_page_can_require_a_step_up,
        a_form_too_large_is_not_read,
    )
}
WITH_TOKENS = (fifty_fetches_at_expiry, pages_call_an_api, an_ended_grant_ends_the_session)
STORED = {**CHECKS, **{check.__name__: check for check in WITH_TOKENS}}
