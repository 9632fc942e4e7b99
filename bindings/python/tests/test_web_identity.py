"""A site configured by environment variables, with a provider without OpenID Connect."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import Twin
from examples import web_settings
from test_web_site import BASE, PAGE, make_request, signed_in

import oauth_core
from oauth_core.web import Reply, Site, User

ENVIRON = {
    "OAUTH_CLIENT_ID": "shop",
    "OAUTH_CLIENT_SECRET": "secret",
    "OAUTH_BASE_URL": "https://shop.example",
    "OAUTH_KEY": "k" * 43,
}


def at(provider: str, **settings: Any) -> Site:
    return Site.from_env(environ={**ENVIRON, "OAUTH_PROVIDER": provider}, **settings)


def sent(site: Site) -> str | None:
    """The scope requested from the provider."""
    reply = site.visit(make_request("/me")._replace(host="shop.example"), "signed_in")
    assert isinstance(reply, Reply) and reply.status == 303
    scope = parse_qs(urlsplit(dict(reply.headers)["location"]).query).get("scope")
    return scope[0] if scope else None


def test_the_scope_of_a_sign_in_depends_on_the_identity_endpoint_of_the_preset() -> None:
    assert sent(at("github")) is None
    assert sent(at("github", scope=["read:user", "user:email"])) == "read:user user:email"
    assert sent(at("docusign")) == "signature"
    assert sent(at("google")) == "openid profile email"
    assert sent(at("google", scope=(name for name in ("openid", "email")))) == "openid email"
    with pytest.raises(oauth_core.MisuseError, match="openid, or an identity endpoint"):
        at("github", scope="openid")


def test_a_provider_that_cannot_identify_users_is_rejected_at_startup() -> None:
    for settings in ({}, {"scope": "users:read"}, {"identity": None}):
        with pytest.raises(oauth_core.MisuseError, match="withings has no OpenID Connect") as caught:
            at("withings", **settings)
        assert caught.value.code == "web.setup"
    identity = {"url": "https://wbsapi.withings.net/me", "subject": "id"}
    assert sent(at("withings", identity=identity)) is None
    assert sent(at("withings", identity=identity, scope="user.info")) == "user.info"
    assert sent(at("withings", scope="openid")) == "openid"


@contextmanager
def api(profile: dict[str, Any]) -> Iterator[str]:
    """The URL of an API that returns `profile` to requests with a token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(profile).encode()
            self.send_response(200 if self.headers["authorization"].startswith("Bearer ") else 401)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/user"
        finally:
            server.shutdown()


def test_the_configured_identity_endpoint_identifies_the_user(generic: Twin) -> None:
    generic.register(f"{BASE}/auth/callback")
    claims = {"name": "name", "preferred_username": "login", "email": "email"}
    # As at GitHub: the id is a number, and members without a value are null.
    with api({"id": 583231, "login": "octocat", "name": None, "email": None}) as url:
        identity = {"url": url, "subject": "id", "claims": claims}
        settings: dict[str, Any] = {"transport": "loopback_http", "identity": identity, "scope": "read"}
        site = Site.from_env(environ=web_settings(generic), **settings)
        callback, cookies = signed_in(site.visit(make_request("/me"), "signed_in"))
        back = site.visit(make_request(callback, headers=[*PAGE, ("cookie", cookies)]))
    assert isinstance(back, Reply) and back.status == 303, back
    fields = [value.partition(";")[0] for name, value in back.headers if name == "set-cookie"]
    user = site.visit(make_request("/me", headers=[("cookie", "; ".join(field for field in fields if field[-1] != "="))]))
    assert isinstance(user, User)
    assert (user.subject, user.name, user.claims) == ("583231", "octocat", {"preferred_username": "octocat"})
