"""Flask: flask --app hello_flask run"""

import os
from typing import Any

from flask import Flask, render_template_string

from oauth_core.web import Identity, Problem
from oauth_core.web.flask import Refuse, Site

app = Flask(__name__)
API = os.environ["OAUTH_ISSUER"]
CALLED = os.environ.get("HELLO_API", f"{API}/api/echo")
# Pages call it with a token that they never see, where there are tokens.
PAGES = {"twin": (f"{API}/api", ["GET", "POST"])} if "OAUTH_STORE" in os.environ else None
DOCUMENT = os.environ.get("HELLO_CLIENT_METADATA")
MODE = os.environ.get("HELLO_RESPONSE_MODE")
site = Site.from_env(
    app,
    scope="openid read offline_access",
    transport="loopback_http",
    api=PAGES,
    client_metadata=DOCUMENT,
    response_mode=MODE,
)


@site.admit
def admit(identity: Identity) -> dict[str, Any]:
    if identity.claims.get("email") == "barred@example.com":
        raise Refuse("Members only.")
    return {"cart": 3}


@site.error_page
def error_page(problem: Problem) -> str:
    page = "<h1>Oh no: {{ problem.code }}</h1><p>{{ problem.detail }}"
    return render_template_string(page, problem=problem)


@app.get("/")
def index() -> str:
    user = site.optional_user
    return f"Hello, {user.subject if user else 'stranger'}"


@app.get("/me")
@site.required
def me() -> str:
    return f"{site.user.subject} has {site.user.local['cart']}"


@app.get("/pages/<path:rest>")
@site.required
def page(rest: str) -> str:
    return f"{site.user.subject} reads {rest}"


@app.post("/cart")
@site.required
def cart() -> str:
    return "bought"


@app.get("/pay")
@site.required(acr=["mfa"])
def pay() -> str:
    return f"paid by {site.user.acr}"


@app.get("/fetch")
@site.required
def fetch() -> str:
    return str(site.user.fetch(CALLED, origins=[API]).status)
