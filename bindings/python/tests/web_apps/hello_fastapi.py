"""FastAPI: uvicorn hello_fastapi:app"""

import os
from typing import Any, Optional

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from oauth_core.web import Identity, Problem
from oauth_core.web.fastapi import Refuse, Site, User

app = FastAPI(default_response_class=PlainTextResponse)
API = os.environ["OAUTH_ISSUER"]
CALLED = os.environ.get("HELLO_API", f"{API}/api/echo")
# Pages call it with a token that they never see, where there are tokens.
PAGES = {"twin": (f"{API}/api", ["GET", "POST"])} if "OAUTH_STORE" in os.environ else None
SCOPE = os.environ.get("HELLO_SCOPE", "openid read offline_access")
DOCUMENT = os.environ.get("HELLO_CLIENT_METADATA")
MODE = os.environ.get("HELLO_RESPONSE_MODE")
site = Site.from_env(
    app,
    scope=SCOPE,
    transport="loopback_http",
    api=PAGES,
    client_metadata=DOCUMENT,
    response_mode=MODE,
)


@site.admit
async def admit(identity: Identity) -> dict[str, Any]:
    if identity.claims.get("email") == "barred@example.com":
        raise Refuse("Members only.")
    return {"cart": 3}


@site.error_page
def error_page(problem: Problem) -> str:
    return f"<h1>Oh no: {problem.code}</h1><p>{problem.detail}"


@app.get("/")
async def index(user: Optional[User] = site.optional_user) -> str:
    return f"Hello, {user.subject if user else 'stranger'}"


@app.get("/me")
async def me(user: User = site.user) -> str:
    return f"{user.subject} has {user.local['cart']}"


@app.get("/pages/{rest:path}")
async def page(rest: str, user: User = site.user) -> str:
    return f"{user.subject} reads {rest}"


@app.post("/cart")
def cart(user: User = site.user) -> str:
    return "bought"


@app.get("/pay")
def pay(user: User = site.required(acr=["mfa"])) -> str:
    return f"paid by {user.acr}"


@app.get("/fetch")
async def fetch(user: User = site.user) -> str:
    reply = await user.afetch(CALLED, origins=[API])
    return str(reply.status)
