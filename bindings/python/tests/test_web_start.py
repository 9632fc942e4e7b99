"""A site configured by environment variables: it starts without its provider, and reports invalid variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fastapi
import pytest
from fastapi.testclient import TestClient
from servers import free_port, until

import oauth_core
from oauth_core.stores import MemoryStore
from oauth_core.web import Identity, Need, Provider, Reply, Request, Site, User, testing
from oauth_core.web import fastapi as for_fastapi

BASE = "http://127.0.0.1:8000"
PAGE = [("accept", "text/html")]
SECRET = "S3CR3T"


def environ(issuer: str, **others: str) -> dict[str, str]:
    return {
        "OAUTH_ISSUER": issuer,
        "OAUTH_CLIENT_ID": "shop",
        "OAUTH_CLIENT_SECRET": SECRET,
        "OAUTH_BASE_URL": BASE,
        "OAUTH_KEY": "k" * 43,
        **others,
    }


def started(issuer: str, **settings: Any) -> Site:
    return Site.from_env(environ=environ(issuer), transport="loopback_http", **settings)


def make_request(target: str, *, method: str = "GET", headers: Any = PAGE) -> Request:
    return Request(method, "127.0.0.1:8000", target, headers)


def status_and_text(ended: Any) -> tuple[int, str]:
    """Status and code of a reply."""
    assert isinstance(ended, Reply), ended
    is_problem = dict(ended.headers).get("content-type") == "application/problem+json"
    if is_problem:
        return ended.status, json.loads(ended.body)["code"]
    return ended.status, ended.problem.code if ended.problem else ""


class Door:
    """The metadata of a provider, which can be held back."""

    def __init__(self, port: int) -> None:
        self.request_count = 0
        self.open = threading.Event()
        self.issuer = f"http://127.0.0.1:{port}"


@contextmanager
def provider(port: int) -> Iterator[Door]:
    door = Door(port)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            door.request_count += 1
            door.open.wait(30)
            places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            document = {name: f"{door.issuer}/{place}" for name, place in places.items()}
            body = json.dumps({"issuer": door.issuer, **document}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield door
        finally:
            door.open.set()
            server.shutdown()


def test_the_application_starts_while_the_provider_is_down() -> None:
    port = free_port()
    site = started(f"http://127.0.0.1:{port}")
    assert site.visit(make_request("/")) is None
    assert status_and_text(site.visit(make_request("/me", headers=[]), "signed_in")) == (401, "web.signed_out")
    session = site.visit(make_request("/auth/session", headers=[]))
    assert isinstance(session, Reply) and session.status == 200
    for target in ("/me", "/auth/login", "/auth/callback?code=a&state=b"):
        assert status_and_text(site.visit(make_request(target), "signed_in")) == (503, "lost.connect"), target
    failed = site.visit(make_request("/me?a=1"), "signed_in")
    assert isinstance(failed, Reply) and dict(failed.headers)["retry-after"] == "5"
    assert b"/auth/login?return_to=%2Fme%3Fa%3D1" in failed.body
    with provider(port) as door:
        door.open.set()
        # No request is sent to the provider for each request of a browser.
        assert status_and_text(site.visit(make_request("/me"), "signed_in")) == (503, "lost.connect")
        assert door.request_count == 0
        site._site.advance(5)
        sent = site.visit(make_request("/me"), "signed_in")
        assert isinstance(sent, Reply) and dict(sent.headers)["location"].startswith(f"{door.issuer}/authorize?")
        asked_once = door.request_count
        assert isinstance(site.visit(make_request("/auth/login")), Reply) and door.request_count == asked_once


def test_an_unresponsive_provider_blocks_no_page_and_is_contacted_once() -> None:
    with provider(free_port()) as door, ThreadPoolExecutor(8) as pool:
        site = started(door.issuer)
        sign_ins = [pool.submit(site.visit, make_request("/me"), "signed_in") for _ in range(8)]
        until(lambda: door.request_count == 1, "nobody asks")
        assert site.visit(make_request("/")) is None
        assert site.visit(make_request("/"), "silent") is None
        assert not any(one.done() for one in sign_ins)
        door.open.set()
        replies = [one.result(30) for one in sign_ins]
        assert {status_and_text(reply) for reply in replies} == {(303, "")}
        assert door.request_count == 1


def test_a_waiting_login_does_not_block_the_event_loop() -> None:
    with provider(free_port()) as door:
        app = fastapi.FastAPI()
        site = for_fastapi.Site.from_env(app, environ=environ(door.issuer), transport="loopback_http")

        @app.get("/")
        async def index(user: User | None = site.optional_user) -> str:
            # This page, in the same loop, lets the provider respond.
            door.open.set()
            return "everybody"

        @app.get("/me")
        async def me(user: User = site.user) -> str:
            return user.subject

        with TestClient(app, base_url=BASE, follow_redirects=False) as browser, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(browser.get, "/me", headers=dict(PAGE))
            until(lambda: door.request_count == 1, "nobody asks")
            assert browser.get("/").json() == "everybody"
            assert waiting.result(30).status_code == 303


def test_a_silent_check_runs_once_the_provider_is_reachable() -> None:
    with provider(free_port()) as door:
        door.open.set()
        site = started(door.issuer)
        browser = [*PAGE, ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "none")]

        def looks() -> bool:
            ended = site.visit(make_request("/", headers=browser), "silent")
            return isinstance(ended, Reply) and "prompt=none" in dict(ended.headers)["location"]

        assert not looks()
        until(looks, "the provider is never asked")


def signed_in(site: Site, **identity: Any) -> list[tuple[str, str]]:
    cookies = testing.cookies(site, "ann", **identity)
    return [*PAGE, ("cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()))]


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_users_stay_signed_in_while_the_provider_is_down(store: Any) -> None:
    site = started(f"http://127.0.0.1:{free_port()}", key=testing.KEY, store=store)
    headers = signed_in(site, acr="mfa")
    user = site.visit(make_request("/me", headers=headers), "signed_in")
    assert isinstance(user, User) and user.subject == "ann"
    assert isinstance(site.visit(make_request("/pay", headers=headers), "signed_in", Need(acr=["mfa"])), User)
    short = site.visit(make_request("/pay", headers=headers), "signed_in", Need(acr=["pin"]))
    assert status_and_text(short) == (503, "lost.connect")
    with pytest.raises(oauth_core.OAuthError) as caught:
        user.source
    assert caught.value.code == ("web.setup" if store is None else "lost.connect")
    # And can sign out.
    out = site.visit(make_request("/auth/logout", method="POST", headers=[*headers, ("origin", BASE)]))
    assert isinstance(out, Reply) and out.status == 303 and out.signed_out
    assert any(name == "set-cookie" and value.startswith("oauth-session=;") for name, value in out.headers)
    if store is not None:
        assert site.visit(make_request("/me", headers=headers)) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no children here")
def test_a_forked_process_sends_a_discovery_request_itself() -> None:
    with provider(free_port()) as door, ThreadPoolExecutor(1) as pool:
        site = started(door.issuer)
        waiting = pool.submit(site.visit, make_request("/me"), "signed_in")
        until(lambda: door.request_count == 1, "nobody asks")
        child = os.fork()
        if child == 0:
            # The thread that holds the lock is of the parent process, and must not block the child.
            status = 1
            with suppress(BaseException):
                status = status_and_text(site.visit(make_request("/me"), "signed_in"))[0] // 100
            os._exit(status)
        until(lambda: door.request_count == 2, "the child asks nobody")
        door.open.set()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        assert status_and_text(waiting.result(30)) == (303, "")


def test_an_error_of_the_client_function_is_not_shown_or_cached() -> None:
    requested_ids: list[str] = []

    def client() -> oauth_core.Client:
        requested_ids.append("client")
        raise RuntimeError(SECRET)

    provider = Provider(client, id="shop")
    site = Site(providers=[provider], base_url=BASE, key="k" * 43, transport="loopback_http")
    assert provider.client is None and site.visit(make_request("/")) is None and requested_ids == []
    failed = site.visit(make_request("/me"), "signed_in")
    assert status_and_text(failed) == (500, "application.function")
    assert isinstance(failed, Reply) and SECRET.encode() not in failed.body
    # It is not an outage of the provider: it is not cached.
    site.visit(make_request("/me"), "signed_in")
    assert requested_ids == ["client", "client"]
    with pytest.raises(TypeError):
        Provider("a client")  # type: ignore[arg-type]


def test_a_large_session_cookie_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    site = started("https://login.example", key=testing.KEY)
    with caplog.at_level("WARNING", logger="oauth_core"):
        testing.cookies(site, "ann", claims={"picture": "p" * 100})
        assert "web.response_large" not in caplog.text
        for _ in range(2):
            testing.cookies(site, "ann", claims={"picture": "p" * 2200})
    assert caplog.text.count("web.response_large: ") == 1 and "claims.picture takes 2202 bytes" in caplog.text


def test_all_missing_variables_are_reported_together() -> None:
    with pytest.raises(oauth_core.MisuseError) as caught:
        Site.from_env(environ={"OAUTH_CLIENT_SECRET": SECRET})
    text = str(caught.value)
    for name in ("OAUTH_ISSUER or OAUTH_PROVIDER", "OAUTH_CLIENT_ID", "OAUTH_BASE_URL", "OAUTH_KEY"):
        assert name in text
    assert text.endswith("[environment.missing]") and caught.value.code == "environment.missing"
    settings = {"base_url": BASE, "key": "k" * 43}
    with pytest.raises(oauth_core.MisuseError) as caught:
        Site.from_env(environ={"OAUTH_ISSUER": "https://as.example"}, **settings)
    assert "OAUTH_CLIENT_ID" in str(caught.value) and "OAUTH_KEY" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "code", "expected_message"),
    [
        ("OAUTH_ISSUER", "http://127.0.0.1:8080", "issuer.not_https", 'transport="loopback_http"'),
        ("OAUTH_ISSUER", "as.example", "issuer.not_absolute", "OAUTH_ISSUER"),
        ("OAUTH_BASE_URL", "app.example", "url.syntax", "base_url"),
        ("OAUTH_BASE_URL", BASE, "url.insecure", 'transport="loopback_http"'),
        ("OAUTH_KEY", "q83vq83vq83vq83vq83vq83vq83vq83vq83vq83vq80=", "key.sealing", "base64url"),
        ("OAUTH_STORE", f"mysql://u:{SECRET}@h/d", "web.setup", "redis://"),
    ],
)
def test_an_error_about_a_wrong_value_contains_the_name_of_its_variable(name: str, value: str, code: str, expected_message: str) -> None:
    variables = environ("https://as.example", OAUTH_BASE_URL="https://app.example")
    with pytest.raises(oauth_core.MisuseError) as caught:
        Site.from_env(environ={**variables, name: value})
    text = str(caught.value)
    assert name in text and expected_message in text and text.endswith(f"[{code}]"), text
    assert caught.value.code == code and SECRET not in text


def test_a_wrong_key_is_reported_before_a_store_is_opened() -> None:
    variables = environ("https://as.example", OAUTH_KEY="short", OAUTH_STORE="memory:")
    with pytest.raises(oauth_core.MisuseError, match="OAUTH_KEY"):
        Site.from_env(environ=variables)


def test_an_admit_result_other_than_a_dict_or_none_is_rejected(client: oauth_core.Client) -> None:
    from oauth_core.web._visits import _admission

    for returned in (False, True, 0, "", "no", [], ["a"]):
        with pytest.raises(TypeError, match="admit"):
            _admission(returned)
    assert _admission(None) == {"local": {}} and _admission({"a": 1}) == {"local": {"a": 1}}
    assert Provider(client).id == "login"


def test_a_login_with_an_invalid_admit_result_is_rejected(generic: Any, client: oauth_core.Client) -> None:
    from conftest import approve

    generic.register(f"{BASE}/auth/callback")
    site = Site(providers=[Provider(client)], base_url=BASE, key="k" * 43, transport="loopback_http")

    @site.admit
    def admit(_: Identity) -> Any:
        return False

    sent = site.visit(make_request("/me"), "signed_in")
    assert isinstance(sent, Reply)
    cookies = "; ".join(value.split(";")[0] for name, value in sent.headers if name == "set-cookie")
    callback = approve(dict(sent.headers)["location"]).removeprefix(BASE)
    with pytest.raises(TypeError, match="must return a dict, None or a Refuse, not bool"):
        site.visit(make_request(callback, headers=[*PAGE, ("cookie", cookies)]))


def test_a_failed_login_is_printed_without_logging_configuration() -> None:
    program = """
from oauth_core.web import testing
from test_web_start import make_request, started
started("https://login.example", key=testing.KEY).visit(make_request("/auth/login?return_to=https://evil.example/"))
"""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    # Errors that any visitor can cause are not printed.
    assert done.stderr.startswith("lost.") and "return_to" not in done.stderr
