"""ASGI without a framework: uvicorn hello_asgi:app"""

import os
from typing import Any

from oauth_core.web import Identity, Need, Problem, Refuse, Reply, Site, User
from oauth_core.web.asgi import Receive, Scope, Send, SignIn, challenge, reply, user

API = os.environ["OAUTH_ISSUER"]
CALLED = os.environ.get("HELLO_API", f"{API}/api/echo")
# Pages call it with a token that they never see, where there are tokens.
PAGES = {"twin": (f"{API}/api", ["GET", "POST"])} if "OAUTH_STORE" in os.environ else None
DOCUMENT = os.environ.get("HELLO_CLIENT_METADATA")
site = Site.from_env(
    scope="openid read offline_access", transport="loopback_http", api=PAGES, client_metadata=DOCUMENT
)


@site.admit
def admit(identity: Identity) -> dict[str, Any]:
    if identity.claims.get("email") == "barred@example.com":
        raise Refuse("Members only.")
    return {"cart": 3}


@site.error_page
async def error_page(problem: Problem) -> str:
    return f"<h1>Oh no: {problem.code}</h1><p>{problem.detail}"


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return
    current_user, path = user(scope), scope["path"]
    if path == "/":
        return await text(send, f"Hello, {current_user.subject if current_user else 'stranger'}")
    ended = await challenge(scope, Need(acr=["mfa"]) if path == "/pay" else Need())
    if isinstance(ended, Reply):
        return await reply(ended, scope, send)
    assert isinstance(ended, User)
    if path == "/me":
        return await text(send, f"{ended.subject} has {ended.local['cart']}")
    if path == "/cart":
        return await text(send, "bought")
    if path == "/pay":
        return await text(send, f"paid by {ended.acr}")
    if path == "/fetch":
        response = await ended.afetch(CALLED, origins=[API])
        return await text(send, str(response.status))
    await text(send, f"{ended.subject} reads {path[len('/pages/'):]}")


async def text(send: Send, body: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


app = SignIn(pages, site)
