"""A page for whoever is signed in, in Starlette: what a request with the cookie of a session costs over one that asks nobody.

Authlib leaves the session to Starlette's ``SessionMiddleware``, whose cookie is signed and not encrypted.
"""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "python"))

from authlib.integrations.starlette_client import OAuth
from harness import OURS, require_same_results, measure_cpu, print_figure, run_in_turns
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

import oauth_core
from oauth_core.web import Provider
from oauth_core.web.fastapi import Site, require
from oauth_core.web.testing import KEY, cookies

BASE = "http://localhost:3000"
CALLS = 400
ROUNDS = 15
#: WEBLOGIN.md section 10, 8.
BUDGET = 30.0

App = Any


def send_request(app: App, cookie: str | None) -> tuple[int, str, list[Any]]:
    """What the page of this application says."""
    headers = [(b"host", b"localhost:3000"), (b"accept", b"text/html"), (b"sec-fetch-mode", b"navigate")]
    headers.append((b"sec-fetch-dest", b"document"))
    if cookie:
        headers.append((b"cookie", cookie.encode()))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/me", "raw_path": b"/me", "query_string": b"", "root_path": "", "headers": headers,
        "server": ("localhost", 3000), "client": ("127.0.0.1", 1),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    run_until_complete(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body.decode(), sent[0]["headers"]


loop = asyncio.new_event_loop()
run_until_complete = loop.run_until_complete


def without_library() -> tuple[App, str]:
    async def me(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ann")

    return Starlette(routes=[Route("/me", me)]), ""


def ours() -> tuple[App, str]:
    async def me(request: Request) -> PlainTextResponse:
        user = await require(request)
        return PlainTextResponse(user.subject)

    app = Starlette(routes=[Route("/me", me)])
    metadata = {
        "issuer": BASE,
        "authorization_endpoint": f"{BASE}/authorize",
        "token_endpoint": f"{BASE}/token",
        "jwks_uri": f"{BASE}/jwks",
        "response_types_supported": ["code"],
    }
    server = oauth_core.Server.from_metadata(BASE, metadata, transport="loopback_http")
    client = oauth_core.Client(server, client_id="web", client_secret="s" * 32)
    site = Site(
        app, providers=[Provider(client)], base_url=BASE, key=KEY, transport="loopback_http"
    )
    return app, "; ".join(f"{name}={value}" for name, value in cookies(site, "ann", claims={"name": "Ann"}).items())


def authlib() -> tuple[App, str]:
    oauth = OAuth()
    oauth.register(name="p", client_id="web", client_secret="s" * 32, server_metadata_url=f"{BASE}/.well-known")

    async def me(request: Request) -> Any:
        user = request.session.get("user")
        return PlainTextResponse(user["sub"]) if user else RedirectResponse("/login")

    app = Starlette(routes=[Route("/me", me)])
    app.add_middleware(SessionMiddleware, secret_key="k" * 43)
    # As its callback leaves it: `request.session["user"] = token["userinfo"]`.
    user = {"user": {"sub": "ann", "name": "Ann", "iss": BASE, "aud": "web", "exp": 1, "iat": 1}}
    text = base64.b64encode(json.dumps(user).encode())
    return app, f"session={TimestampSigner('k' * 43).sign(text).decode()}"


def main() -> None:
    sides = {"nobody is asked": without_library(), OURS: ours(), "Authlib with Starlette": authlib()}
    results = {name: send_request(app, cookie)[:2] for name, (app, cookie) in sides.items()}
    require_same_results("a page for ann", results)
    for name, (app, cookie) in sides.items():
        if cookie and send_request(app, None)[1] == "ann":
            sys.exit(f"{name}: everybody is let in")

    def run(app: App, cookie: str) -> Any:
        return lambda _: measure_cpu(lambda: [send_request(app, cookie) for _ in range(CALLS)])

    taken = run_in_turns({name: run(*side) for name, side in sides.items()}, rounds=ROUNDS)
    floor = taken.pop("nobody is asked")
    over = {
        name: statistics.median((cost - base) / CALLS * 1e6 for cost, base in zip(costs, floor))
        for name, costs in taken.items()
    }
    what = "Python: a page for who is signed in, Starlette, cookie, over a page for everybody"
    print_figure(what, "us CPU", over, budget=BUDGET)


main()
