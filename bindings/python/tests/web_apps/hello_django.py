"""Django: python hello_django.py runserver; or uvicorn hello_django:application, and gunicorn hello_django:wsgi"""

import os
import sys
from typing import Any

import django
from django.conf import settings

API = os.environ["OAUTH_ISSUER"]
CALLED = os.environ.get("HELLO_API", f"{API}/api/echo")


def error_page(problem: Any) -> str:
    return f"<h1>Oh no: {problem.code}</h1><p>{problem.detail}"


def admit(identity: Any) -> dict[str, Any]:
    from oauth_core.web import Refuse

    if identity.claims.get("email") == "barred@example.com":
        raise Refuse("Members only.")
    return {"cart": 3}


if not settings.configured:
    settings.configure(
        SECRET_KEY="of the tests",
        DEBUG=False,
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        ROOT_URLCONF="hello_django",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ["HELLO_DATABASE"],
                "OPTIONS": {"timeout": 30},
            }
        },
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth_core.web.django",
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "oauth_core.web.django.Middleware",
        ],
        LOGIN_URL="/auth/login",
        OAUTH={
            "scope": "openid read offline_access",
            "transport": "loopback_http",
            "admit": admit,
            "error_page": "hello_django.error_page",
            "client_metadata": os.environ.get("HELLO_CLIENT_METADATA"),
            "response_mode": os.environ.get("HELLO_RESPONSE_MODE"),
            # Pages call it with a token that they never see, where there are tokens.
            "api": {"twin": (f"{API}/api", ["GET", "POST"])} if "OAUTH_STORE" in os.environ else None,
        },
    )
    django.setup()

from django.contrib.auth import logout  # noqa: E402
from django.contrib.auth.decorators import login_required  # noqa: E402
from django.contrib.auth.signals import user_logged_in, user_logged_out  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from oauth_core.web.django import required  # noqa: E402
from oauth_core.web.django.models import Person  # noqa: E402

SIGNALS: list[str] = []


def heard(sender: Any, signal: Any, user: Any, **_: Any) -> None:
    SIGNALS.append("in" if signal is user_logged_in else "out")


user_logged_in.connect(heard)
user_logged_out.connect(heard)


def subject(request: HttpRequest) -> str:
    return Person.objects.get(user=request.user.pk).subject


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"Hello, {subject(request) if request.user.is_authenticated else 'stranger'}")


@login_required
def me(request: Any) -> HttpResponse:
    return HttpResponse(f"{subject(request)} has {request.oauth.local['cart']}")


@login_required
def page(request: HttpRequest, rest: str) -> HttpResponse:
    return HttpResponse(f"{subject(request)} reads {rest}")


@csrf_exempt
@login_required
def cart(request: HttpRequest) -> HttpResponse:
    return HttpResponse("bought")


@required(acr=["mfa"])
def pay(request: Any) -> HttpResponse:
    return HttpResponse(f"paid by {request.oauth.acr}")


async def fetch(request: Any) -> HttpResponse:
    reply = await request.oauth.afetch(CALLED, origins=[API])
    return HttpResponse(str(reply.status))


def signals(_: HttpRequest) -> HttpResponse:
    return HttpResponse(" ".join(SIGNALS))


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("bye")


def disable(request: HttpRequest, is_active: int) -> HttpResponse:
    people = Person.objects.select_related("user").all()
    for person in people:
        person.user.is_active = bool(is_active)
        person.user.save()
    return HttpResponse(str(len(people)))


urlpatterns = [
    path("", index),
    path("me", me),
    path("pages/<path:rest>", page),
    path("cart", cart),
    path("pay", pay),
    path("fetch", fetch),
    path("signals", signals),
    path("leave", leave),
    path("disable/<int:is_active>", disable),
]
application = get_asgi_application()
wsgi = get_wsgi_application()

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
