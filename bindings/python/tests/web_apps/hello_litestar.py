"""Litestar: uvicorn hello_litestar:app"""

import os
from typing import Any, Optional

from litestar import Litestar, MediaType, Request, Response, get
from litestar.types import ASGIApp, BeforeRequestHookHandler, Receive, Scope, Send

from oauth_core.web import Need, Reply, Site
from oauth_core.web.asgi import SignIn, challenge, reply, user

API = os.environ["OAUTH_ISSUER"]
CALLED = os.environ.get("HELLO_API", f"{API}/api/echo")
site = Site.from_env(scope="openid read offline_access", transport="loopback_http")


class Answered(Response[None]):
    """The site's reply, as Litestar sends it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(None)
        self.reply = reply

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await reply(self.reply, scope, send)  # type: ignore[arg-type]

        return app


def required(need: Need = Need()) -> BeforeRequestHookHandler:
    async def look(request: Request[Any, Any, Any]) -> Optional[Answered]:
        ended = await challenge(request.scope, need)  # type: ignore[arg-type]
        return Answered(ended) if isinstance(ended, Reply) else None

    return look


def current_user(request: Request[Any, Any, Any]) -> Any:
    return user(request.scope)  # type: ignore[arg-type]


@get("/", media_type=MediaType.TEXT)
async def index(request: Request[Any, Any, Any]) -> str:
    visitor = current_user(request)
    return f"Hello, {visitor.subject if visitor else 'stranger'}"


@get("/me", media_type=MediaType.TEXT, before_request=required())
async def me(request: Request[Any, Any, Any]) -> str:
    return str(current_user(request).subject)


@get("/pay", media_type=MediaType.TEXT, before_request=required(Need(acr=["mfa"])))
async def pay(request: Request[Any, Any, Any]) -> str:
    return f"paid by {current_user(request).acr}"


@get("/fetch", media_type=MediaType.TEXT, before_request=required())
async def fetch(request: Request[Any, Any, Any]) -> str:
    response = await current_user(request).afetch(CALLED, origins=[API])
    return str(response.status)


pages: ASGIApp = Litestar([index, me, pay, fetch])
app = SignIn(pages, site)  # type: ignore[arg-type]
