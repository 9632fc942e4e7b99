"""Django: its logout and login, the admin, and the position of the middleware."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Twin
from web_checks import WHO, running

SETTINGS = """
import sys
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
import oauth_core
from oauth_core.stores import MemoryStore
from oauth_core.web import Provider
from oauth_core.web.testing import KEY

OURS, SESSIONS, USERS, MESSAGES = (
    "oauth_core.web.django.Middleware", "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware")
HERE = "http://localhost"
ORDER = [SESSIONS, USERS, MESSAGES, OURS]
server = oauth_core.Server.from_metadata("https://login.example", {
    "issuer": "https://login.example", "authorization_endpoint": "https://login.example/authorize",
    "token_endpoint": "https://login.example/token", "jwks_uri": "https://login.example/keys"})

def configure(order=ORDER, **oauth):
    settings.configure(
        SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGIN_URL="/auth/login", STATIC_URL="static/",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:test?mode=memory&cache=shared"}},
        INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                        "django.contrib.sessions", "django.contrib.messages", "oauth_core.web.django"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                    "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                                                       "django.contrib.auth.context_processors.auth",
                                                       "django.contrib.messages.context_processors.messages"]}}],
        MIDDLEWARE=order, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        OAUTH={"base_url": "http://localhost", "key": KEY, "transport": "loopback_http",
               "providers": [Provider(oauth_core.Client(server, client_id="shop"))], **oauth})
    django.setup()

configure(**GIVEN)
from django.contrib import admin
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.decorators import login_required
from django.core.management import call_command
from django.test import AsyncClient, Client
from oauth_core.web.django.models import Person
from oauth_core.web.django.testing import sign_in

call_command("migrate", verbosity=0)

@login_required
def me(request):
    return HttpResponse(f"{request.user.get_full_name()} {request.oauth.subject if request.oauth else None}")

def out(request):
    logout(request)
    return HttpResponse(f"{request.user} {request.oauth}")

class Wrapped:
    def __init__(self, request): self._request = request
    def __getattr__(self, name): return getattr(self._request, name)

def wrapped(request):
    logout(Wrapped(request))
    return HttpResponse("bye")

def again(request):
    login(request, request.user, "django.contrib.auth.backends.ModelBackend")
    return HttpResponse("here")

admin.site.login = login_required(admin.site.login)
urlpatterns = [path("me", me), path("out", out), path("wrapped", wrapped), path("again", again),
               path("admin/", admin.site.urls)]

def come(subject="ann", **identity):
    browser = Client()
    browser.person = sign_in(browser, subject, **identity)
    return browser
"""


def run(program: str, stdin_json: str = "{}") -> str:
    """The output of a program in a Django application, each in a new process."""
    text = SETTINGS.replace("GIVEN", stdin_json) + program
    done = subprocess.run([sys.executable, "-W", "error", "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


LOGOUT = """
for way in ("/out", "/wrapped"):
    ann = come(claims={"name": "Ann A"})
    assert ann.get("/me").content == b"Ann A ann"
    copy = {name: morsel.value for name, morsel in ann.cookies.items()}
    left = ann.get(way)
    assert left.content in (b"AnonymousUser None", b"bye"), left.content
    assert left.cookies["oauth-session"]["max-age"] == "0" and "Cookie" in left.headers["Vary"]
    assert ann.get("/me").status_code == 302
    thief = Client()
    for name, value in copy.items():
        thief.cookies[name] = value
    print(way, thief.get("/me").status_code)
# The sessions of other users, and pages without a logout, are unchanged.
bob = come("bob")
assert "oauth-session" not in bob.get("/me").cookies and bob.get("/me").status_code == 200
"""


def test_the_logout_of_django_ends_the_session() -> None:
    # A copied cookie stays valid; a session in a store does not.
    assert run(LOGOUT).split() == ["/out", "200", "/wrapped", "200"]
    assert run(LOGOUT, '{"store": MemoryStore()}').split() == ["/out", "302", "/wrapped", "302"]


def test_a_logout_in_a_coroutine_ends_the_session() -> None:
    program = """
import asyncio

async def main():
    ann = AsyncClient()
    from asgiref.sync import sync_to_async
    await sync_to_async(sign_in)(ann, "ann")
    assert (await ann.get("/me")).status_code == 200
    left = await ann.get("/out")
    assert left.cookies["oauth-session"]["max-age"] == "0"
    print((await ann.get("/me")).status_code)

asyncio.run(main())
"""
    assert run(program, '{"store": MemoryStore()}').strip() == "302"


def test_login_and_logout_of_the_admin_end_the_session_of_another_user() -> None:
    program = """
get_user_model().objects.create_superuser("root", "root@example.com", "pw")
stranger = Client()
assert stranger.get("/admin/").headers["location"].startswith("/admin/login/")
assert stranger.get("/admin/login/?next=/admin/").headers["location"].startswith("/auth/login?next=/admin/login/")

ann = come(claims={"given_name": "Ann"})
assert b"not authorized" in ann.get("/admin/login/?next=/admin/").content
# As another user, with a password.
done = ann.post("/admin/login/?next=/admin/", {"username": "root", "password": "pw", "next": "/admin/"}, HTTP_ORIGIN=HERE)
assert done.status_code == 302 and done.cookies["oauth-session"]["max-age"] == "0"
page = ann.get("/admin/oauth_core/person/")
assert page.status_code == 200 and b"Ann" in page.content, page.content
assert ann.get("/me").content.strip() == b"None"
assert ann.post(f"/admin/oauth_core/person/{Person.objects.get().pk}/change/", {}, HTTP_ORIGIN=HERE).status_code == 403

# A login as the same user keeps the session.
bob = come("bob")
assert "oauth-session" not in bob.get("/again").cookies and bob.get("/me").content.strip() == b"bob"

bob.person.is_staff = bob.person.is_superuser = True
bob.person.save()
assert bob.get("/admin/").status_code == 200
assert b"Logged out" in bob.post("/admin/logout/", HTTP_ORIGIN=HERE).content
print(bob.get("/admin/").status_code, bob.get("/me").status_code)
"""
    assert run(program).split() == ["302", "302"]


def test_a_person_is_shown_by_name_and_the_username_is_generated() -> None:
    program = """
for claims in ({"given_name": "Ann", "family_name": "A", "name": "no"}, {"name": "Ann A"}, {"email": "a@b.example"}, {}):
    user = sign_in(Client(), f"sub-{len(str(claims))}", claims=claims)
    person = Person.objects.get(user=user)
    assert len(user.username) == 32 and set(user.username) <= set("0123456789abcdef")
    print(person)
"""
    named = ["Ann A", "Ann A", "a@b.example", "sub-2"]
    assert run(program).splitlines() == [f"{name} of https://as.invalid" for name in named]


@pytest.mark.parametrize("order", ["[OURS, SESSIONS, USERS, MESSAGES]", "[SESSIONS, OURS, USERS, MESSAGES]"])
def test_a_wrong_position_of_the_middleware_is_reported(order: str) -> None:
    program = """
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

(found,) = [one for one in run_checks() if one.id == "oauth_core.E001"]
assert "AuthenticationMiddleware" in found.msg, found.msg
try:
    Client().get("/me")
except ImproperlyConfigured as error:
    print(error)
"""
    stderr = run(program, f'{{"order": {order}}}')
    assert stderr.startswith("oauth_core.web.django.Middleware must come after ")
    assert "oauth_core" not in run("from django.core.checks import run_checks\nprint(run_checks())")


def test_the_logout_of_django_revokes_the_grant(generic: Twin, tmp_path: Path) -> None:
    with running("django-gunicorn", generic, tmp_path, True) as app, app.browser() as ann:
        assert ann.get("/me").text == f"{WHO} has 3"
        before = [entry["path"] for entry in generic.log].count("/revoke")
        assert ann.get("/leave").text == "bye"
        assert [entry["path"] for entry in generic.log].count("/revoke") == before + 1
        assert ann.get("/").text == "Hello, stranger"
