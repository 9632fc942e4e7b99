"""WSGI without a framework: waitress-serve hello_wsgi:app"""

import os
from collections.abc import Iterable
from typing import Any

from oauth_core.web import Identity, Need, Problem, Refuse, Reply, Site, User
from oauth_core.web.wsgi import SignIn, challenge, reply, user

API = os.environ["OAUTH_ISSUER"]
CALLED = os.environ.get("HELLO_API", f"{API}/api/echo")
# Pages call it with a token that they never see, where there are tokens.
PAGES = {"twin": (f"{API}/api", ["GET", "POST"])} if "OAUTH_STORE" in os.environ else None
DOCUMENT = os.environ.get("HELLO_CLIENT_METADATA")
site = Site.from_env(
    scope="openid read offline_access", transport="loopback_http", api=PAGES, client_metadata=DOCUMENT
)


@site.admit
async def admit(identity: Identity) -> dict[str, Any]:
    if identity.claims.get("email") == "barred@example.com":
        raise Refuse("Members only.")
    return {"cart": 3}


@site.error_page
def error_page(problem: Problem) -> str:
    return f"<h1>Oh no: {problem.code}</h1><p>{problem.detail}"


def page_text(environ: dict[str, Any], current_user: User) -> str:
    path = environ["PATH_INFO"].encode("latin-1").decode()
    if path == "/me":
        return f"{current_user.subject} has {current_user.local['cart']}"
    if path == "/cart":
        return "bought"
    if path == "/pay":
        return f"paid by {current_user.acr}"
    if path == "/fetch":
        return str(current_user.fetch(CALLED, origins=[API]).status)
    return f"{current_user.subject} reads {path[len('/pages/'):]}"


def pages(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    current_user, path = user(environ), environ["PATH_INFO"]
    if path == "/":
        text = f"Hello, {current_user.subject if current_user else 'stranger'}"
    else:
        ended = challenge(environ, Need(acr=["mfa"]) if path == "/pay" else Need())
        if isinstance(ended, Reply):
            return reply(ended, start_response)
        assert isinstance(ended, User)
        text = page_text(environ, ended)
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]


app = SignIn(pages, site)
