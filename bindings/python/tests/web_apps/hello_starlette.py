"""Starlette: uvicorn hello_starlette:app"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from oauth_core.web import Need
from oauth_core.web.fastapi import Site, current_user, require

API = os.environ["OAUTH_ISSUER"]
CALLED = os.environ.get("HELLO_API", f"{API}/api/echo")
# Pages call it with a token that they never see.
PAGES = {"twin": (f"{API}/api", ["GET", "POST"])}
MODE = os.environ.get("HELLO_RESPONSE_MODE")


async def index(request: Request) -> PlainTextResponse:
    user = await current_user(request)
    return PlainTextResponse(f"Hello, {user.subject if user else 'stranger'}")


async def me(request: Request) -> PlainTextResponse:
    return PlainTextResponse((await require(request)).subject)


async def pay(request: Request) -> PlainTextResponse:
    user = await require(request, Need(acr=["mfa"]))
    return PlainTextResponse(f"paid by {user.acr}")


async def fetch(request: Request) -> PlainTextResponse:
    user = await require(request)
    reply = await user.afetch(CALLED, origins=[API])
    return PlainTextResponse(str(reply.status))


app = Starlette(
    routes=[Route("/", index), Route("/me", me), Route("/pay", pay), Route("/fetch", fetch)]
)
site = Site.from_env(
    app,
    scope="openid read offline_access",
    transport="loopback_http",
    api=PAGES,
    response_mode=MODE,
)
