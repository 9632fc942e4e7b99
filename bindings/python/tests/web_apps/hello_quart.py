"""Quart: hypercorn hello_quart:app"""

import os
from typing import Any

from quart import Quart, Response, request

from oauth_core.web import Need, Reply, Site
from oauth_core.web.asgi import SignIn, challenge, user

API = os.environ["OAUTH_ISSUER"]
CALLED = os.environ.get("HELLO_API", f"{API}/api/echo")
site = Site.from_env(scope="openid read offline_access", transport="loopback_http")

app = Quart(__name__)
app.asgi_app = SignIn(app.asgi_app, site)  # type: ignore[assignment, arg-type, method-assign]


def to_response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers)  # type: ignore[arg-type]


@app.get("/")
async def index() -> str:
    current_user = user(request.scope)  # type: ignore[arg-type]
    return f"Hello, {current_user.subject if current_user else 'stranger'}"


@app.get("/me")
async def me() -> Any:
    ended = await challenge(request.scope)  # type: ignore[arg-type]
    return to_response(ended) if isinstance(ended, Reply) else ended.subject  # type: ignore[union-attr]


@app.get("/pay")
async def pay() -> Any:
    ended = await challenge(request.scope, Need(acr=["mfa"]))  # type: ignore[arg-type]
    return to_response(ended) if isinstance(ended, Reply) else f"paid by {ended.acr}"  # type: ignore[union-attr]


@app.get("/fetch")
async def fetch() -> Any:
    ended = await challenge(request.scope)  # type: ignore[arg-type]
    if isinstance(ended, Reply):
        return to_response(ended)
    reply = await ended.afetch(CALLED, origins=[API])  # type: ignore[union-attr]
    return str(reply.status)
