"""Sign-in for tests of applications, with the test client of each framework."""

from __future__ import annotations

import subprocess
import sys
from http.cookies import SimpleCookie
from typing import Any

import fastapi
import flask
import httpx
import pytest
from fastapi.testclient import TestClient

import oauth_core
from oauth_core.web import Identity, Provider, Refuse, User, fastapi as for_fastapi, flask as for_flask, testing

BASE = "http://localhost"


def settings(client: oauth_core.Client, **others: Any) -> dict[str, Any]:
    default_settings = {"providers": [Provider(client)], "base_url": BASE, "key": testing.KEY, "transport": "loopback_http"}
    return {**default_settings, **others}


def test_sign_in_with_the_test_client_of_fastapi(client: oauth_core.Client) -> None:
    app = fastapi.FastAPI()
    site = for_fastapi.Site(app, **settings(client))

    @app.get("/me")
    async def me(user: User = site.user) -> str:
        return f"{user.subject} {user.name}"

    @app.get("/pay")
    async def pay(user: User = site.required(acr=["mfa"])) -> str:
        return user.subject

    with TestClient(app, base_url=BASE) as browser:
        assert browser.get("/me").status_code == 401
        testing.sign_in(browser, site, "ann", claims={"name": "Ann"})
        assert browser.get("/me").json() == "ann Ann"
        assert browser.get("/pay").status_code == 401
    with TestClient(app, base_url=BASE) as other:
        testing.sign_in(other, site, "bob", acr="mfa")
        assert other.get("/pay").json() == "bob"


def test_a_mounted_application_is_guarded(client: oauth_core.Client) -> None:
    app, mounted = fastapi.FastAPI(), fastapi.FastAPI()
    site = for_fastapi.Site(app, **settings(client))

    async def me(user: User = site.user) -> str:
        return user.subject

    mounted.get("/me")(me)
    app.mount("/v1", mounted)
    with TestClient(app, base_url=BASE, follow_redirects=False) as browser:
        assert browser.get("/v1/me").json()["code"] == "web.signed_out"
        page = browser.get("/v1/me", headers={"accept": "text/html"})
        assert page.status_code == 303 and "/authorize?" in page.headers["location"]
        assert len(page.headers.get_list("set-cookie")) >= 1
        testing.sign_in(browser, site, "ann")
        assert browser.get("/v1/me").json() == "ann"


def test_sign_in_with_a_flask_application_factory(client: oauth_core.Client) -> None:
    site = for_flask.Site(**settings(client))

    def create_app() -> flask.Flask:
        app = flask.Flask(__name__)
        app.add_url_rule("/me", view_func=site.required(lambda: str(site.user.subject)))
        site.init_app(app)
        return app

    first, second = create_app(), create_app()
    assert first.test_client().get("/me").status_code == 401
    assert testing.sign_in(second.test_client(), site, "ann").get("/me").text == "ann"


def test_the_session_cookies_of_flask_and_starlette_keep_their_name(client: oauth_core.Client) -> None:
    """The session cookie of flask.session is still usable."""
    app = flask.Flask(__name__)
    app.secret_key = "of the test"
    site = for_flask.Site(app, **settings(client))

    @app.get("/cart")
    @site.required
    def cart() -> str:
        flask.session["cart"] = flask.session.get("cart", 0) + 1
        return f"{site.user.subject} {flask.session['cart']}"

    browser = testing.sign_in(app.test_client(), site, "ann")
    assert [browser.get("/cart").text for _ in range(2)] == ["ann 1", "ann 2"]


def test_sign_in_with_the_test_client_of_flask(client: oauth_core.Client) -> None:
    app = flask.Flask(__name__)
    site = for_flask.Site(app, **settings(client))

    @app.get("/me")
    @site.required
    def me() -> str:
        return str(site.user.subject)

    assert app.test_client().get("/me").status_code == 401
    browser = testing.sign_in(app.test_client(), site, "ann")
    assert browser.get("/me").text == "ann"


def test_sign_in_with_sessions_in_a_store(client: oauth_core.Client) -> None:
    app = flask.Flask(__name__)
    site = for_flask.Site(app, **settings(client, store=oauth_core.stores.MemoryStore()))
    app.add_url_rule("/me", view_func=site.required(lambda: str(site.user.subject)))
    assert testing.sign_in(app.test_client(), site, "ann").get("/me").text == "ann"


def test_a_test_sign_in_runs_the_admit_hook_and_filters_claims(client: oauth_core.Client) -> None:
    app = flask.Flask(__name__)
    site = for_flask.Site(app, **settings(client))
    notes: list[str] = []

    @site.admit
    def admit(identity: Identity) -> dict[str, str]:
        notes.append(identity.subject)
        if "team" not in identity.claims:
            raise Refuse("for teams alone")
        return {"team": str(identity.claims["team"])}

    @app.post("/orders")
    @site.required
    def orders() -> dict[str, object]:
        return {"claims": site.user.claims, "local": site.user.local}

    with pytest.raises(oauth_core.OAuthError, match="for teams alone") as caught:
        testing.cookies(site, "ann")
    assert caught.value.code == "web.not_admitted"
    claims = {"name": "Ann", "team": "red", "roles": ["admin"]}
    browser = testing.sign_in(app.test_client(), site, "ann", claims=claims)
    # A same-origin form.
    ordered = browser.post("/orders")
    assert ordered.status_code == 200, ordered.text
    assert ordered.json == {"claims": {"name": "Ann"}, "local": {"team": "red"}}
    assert notes == ["ann", "ann"]
    browser = testing.sign_in(app.test_client(), site, "bob", local={"team": "blue"})
    assert browser.post("/orders").json == {"claims": {}, "local": {"team": "blue"}}
    assert notes == ["ann", "ann"]


def test_a_signed_in_starlette_client_can_post(client: oauth_core.Client) -> None:
    app = fastapi.FastAPI()
    site = for_fastapi.Site(app, **settings(client))

    @app.post("/orders")
    async def orders(user: User = site.user) -> str:
        return user.subject

    with TestClient(app, base_url=BASE) as browser:
        assert testing.sign_in(browser, site, "ann").post("/orders").json() == "ann"


DJANGO = """
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
import oauth_core
from oauth_core.web import Provider
from oauth_core.web.testing import KEY

server = oauth_core.Server.from_metadata("https://login.example", {
    "issuer": "https://login.example", "authorization_endpoint": "https://login.example/authorize",
    "token_endpoint": "https://login.example/token", "jwks_uri": "https://login.example/keys"})
settings.configure(
    SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGIN_URL="/auth/login",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                    "oauth_core.web.django"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware", "oauth_core.web.django.Middleware"],
    OAUTH={"base_url": "http://localhost", "key": KEY, "transport": "loopback_http",
           "providers": [Provider(oauth_core.Client(server, client_id="shop"))]},
)
django.setup()
from django.contrib.auth.decorators import login_required
from django.core.management import call_command
from django.test import Client
from oauth_core.web.django.testing import sign_in

call_command("migrate", verbosity=0)

@login_required
def me(request):
    return HttpResponse(f"{request.oauth.subject} {request.user.first_name}")

urlpatterns = [path("me", me)]
ann = Client()
user = sign_in(ann, "ann", claims={"given_name": "Ann"})
assert sign_in(Client(), "ann").pk == user.pk != sign_in(Client(), "bob").pk
print(ann.get("/me").content.decode(), Client().get("/me").status_code)
"""


def test_sign_in_with_the_test_client_of_django() -> None:
    done = subprocess.run([sys.executable, "-c", DJANGO], capture_output=True, text=True)
    assert done.stdout.strip() == "ann Ann 302", done.stderr


def test_sign_in_supports_several_cookie_jars(client: oauth_core.Client) -> None:
    site = oauth_core.web.Site(**settings(client))

    class Django:
        cookies: Any = SimpleCookie()
        defaults: dict[str, str] = {}

    ((name, value),) = testing.cookies(site, "ann").items()
    assert testing.sign_in(Django(), site, "ann").cookies[name].value.split(".")[0] == value.split(".")[0]
    with httpx.Client(base_url=BASE) as browser:
        assert testing.sign_in(browser, site, "ann").cookies[name]
    with pytest.raises(TypeError, match="cookies"):
        testing.sign_in(object(), site, "ann")


def test_the_testing_key_works_only_on_a_local_site(client: oauth_core.Client) -> None:
    with pytest.raises(oauth_core.MisuseError) as caught:
        testing.cookies(oauth_core.web.Site(**settings(client, key="k" * 43)), "ann")
    assert caught.value.code == "web.setup"
    with pytest.raises(oauth_core.MisuseError) as caught:
        oauth_core.web.Site(**settings(client, base_url="https://shop.com", transport="https"))
    assert caught.value.code == "web.setup"


def test_an_unknown_provider_is_rejected(client: oauth_core.Client) -> None:
    with pytest.raises(oauth_core.OAuthError) as caught:
        testing.cookies(oauth_core.web.Site(**settings(client)), "ann", provider="nobody")
    assert caught.value.code == "web.unknown_provider"


def test_the_testing_module_imports_no_framework() -> None:
    program = "import sys, oauth_core.web.testing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"fastapi", "flask", "django", "starlette"} & set(done.stdout.split())
