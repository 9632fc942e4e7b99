"""Django: the setting OAUTH and its hooks, LOGIN_URL, and settings for tests."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any

import pytest
from test_web_django import run

import oauth_core

TENANTS = """
import asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group
from oauth_core.web.django import required

def view(request): return HttpResponse(f"{request.user.pk} of {request.oauth.tenant}")
async def coroutine(request): return HttpResponse(f"{(await request.auser()).pk} of {request.oauth.tenant}")
urlpatterns += [path("acme", required(tenant="acme")(view)), path("later", required(tenant="acme")(coroutine)),
                path("beta", required(tenant="beta")(view))]

for name in ("acme", "beta"):
    Group.objects.create(name=name)
"""

HOOKS = """
import sys
import types
import oauth_core
from oauth_core.web import Provider

CLIENTS = {}
TOLD = []

def provider(ask):
    from django.contrib.auth.models import Group
    name = ask.id or ask.tenant or (ask.issuer or "").removeprefix("https://").partition(".")[0]
    name = name or ask.host.partition(".")[0]
    if not Group.objects.filter(name=name).exists():
        return None
    if name not in CLIENTS:
        issuer = f"https://{name}.example"
        CLIENTS[name] = oauth_core.Client(oauth_core.Server.from_metadata(issuer, {
            "issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys"}), client_id="shop")
    return Provider(CLIENTS[name], id=name, tenant=name)

def signed_out(identity):
    from django.contrib.auth.models import Group
    TOLD.append((identity.subject, Group.objects.count()))

async def told_later(identity):
    TOLD.append((identity.subject, "later"))

async def admit_later(identity):
    return {"role": "guest"}

hooks = sys.modules["hooks"] = types.ModuleType("hooks")
hooks.provider, hooks.signed_out, hooks.told_later = provider, signed_out, told_later
hooks.admit_later, hooks.TOLD = admit_later, TOLD
"""


def settings_module(**hooks: str) -> str:
    """The setting, in a program that defines its hooks first."""
    members = ", ".join(f'"{name}": {value}' for name, value in hooks.items())
    return f"(exec({HOOKS!r}), {{{members}}})[1]"


@pytest.mark.parametrize("provider", ['"hooks.provider"', 'sys.modules["hooks"].provider'])
def test_tenants_are_looked_up_in_the_database(provider: str) -> None:
    program = """
people = {name: Client() for name in ("acme", "beta")}
users = {name: sign_in(one, "ann", provider=name, issuer=f"https://{name}.example") for name, one in people.items()}
assert users["acme"].pk != users["beta"].pk
for name, one in people.items():
    assert one.get(f"/{name}").content == f"{users[name].pk} of {name}".encode()
# A page of another tenant requires a login there.
there = people["acme"].get("/beta", HTTP_ACCEPT="text/html")
assert there.headers["location"].startswith("https://beta.example/authorize?"), there.headers

async def main():
    ann = AsyncClient()
    user = await sync_to_async(sign_in)(ann, "ann", provider="acme", issuer="https://acme.example")
    assert (await ann.get("/later")).content == f"{user.pk} of acme".encode()
    assert (await ann.get("/acme")).content == f"{user.pk} of acme".encode()
    there = await ann.get("/beta", headers={"accept": "text/html"})
    assert there.headers["location"].startswith("https://beta.example/authorize?"), there.headers
    stranger = await AsyncClient().get("/later", headers={"accept": "text/html"})
    assert stranger.headers["location"].startswith("https://acme.example/authorize?"), stranger.headers
    # No tenant of the database.
    await sync_to_async(Group.objects.all().delete)()
    page = await ann.get("/later", headers={"accept": "text/html"})
    return page.headers.get("location") or page.status_code

print(asyncio.run(main()))
"""
    setting = settings_module(provider=provider, lookup='"asked"', providers="[]")
    assert run(TENANTS + program, setting).strip() == "/auth/login?return_to=%2Flater"


@pytest.mark.parametrize(("hook", "expected_calls"), [("signed_out", "('ann', 2)"), ("told_later", "('ann', 'later')")])
def test_the_signed_out_hook_gets_the_identity_of_the_user(hook: str, expected_calls: str) -> None:
    program = """
import hooks
ann = come()
assert ann.get("/me").status_code == 200
ann.post("/auth/logout", HTTP_ORIGIN=HERE)
assert ann.get("/me").status_code == 302

async def main():
    bob = AsyncClient()
    await sync_to_async(sign_in)(bob, "ann")
    await bob.post("/auth/logout", headers={"origin": HERE})

asyncio.run(main())
print(*hooks.TOLD, sep="; ")
"""
    setting = settings_module(signed_out=f'"hooks.{hook}"')
    assert run(TENANTS + program, setting).strip() == f"{expected_calls}; {expected_calls}"


def test_the_admit_hook_may_be_a_coroutine_function() -> None:
    program = """
urlpatterns += [path("role", lambda request: HttpResponse(request.oauth.local["role"]))]
print(come().get("/role").content.decode())
"""
    assert run(TENANTS + program, settings_module(admit='"hooks.admit_later"')).strip() == "guest"


@pytest.mark.parametrize("login_url", ["/auth/login", "/auth/login?prompt=select_account", "/auth/login?a=1&b"])
def test_users_return_to_the_page_with_any_login_url(login_url: str) -> None:
    program = f"""
settings.LOGIN_URL = {login_url!r}
from oauth_core.web.django.middleware import _request
from oauth_core.web.django.site import site
from django.test import RequestFactory

@login_required
def cart(request): return HttpResponse("cart")
urlpatterns += [path("cart", cart)]
away = Client().get("/cart?sort=price&next=/else")
sent = RequestFactory().get(away.headers["location"])
print(_request(site()[0], sent).target)
"""
    extra = {"/auth/login": "", "/auth/login?a=1&b": "a=1&b=&"}.get(login_url, "prompt=select_account&")
    seen = run("from django.contrib.auth.decorators import login_required\n" + program).strip()
    assert seen == f"/auth/login?{extra}return_to=/cart%3Fsort%3Dprice%26next%3D/else"


def test_the_redirect_parameter_is_renamed_only_on_pages_of_the_site() -> None:
    program = """
from oauth_core.web.django.middleware import _request
from oauth_core.web.django.site import site
from django.test import RequestFactory
for target in ("/auth/login?next=/a&next=/b%3Fc", "/auth/login?x=next&n%65xt=%2Fme&y", "/auth/login?nexts=/a",
               "/auth/login?return_to=/a&next=/b", "/auth/login?next", "/auth/login", "/cart?next=/a"):
    print(_request(site()[0], RequestFactory().get(target)).target)
"""
    assert run(program).split() == [
        "/auth/login?return_to=/b%3Fc",
        "/auth/login?x=next&return_to=%2Fme&y",
        "/auth/login?nexts=/a",
        "/auth/login?return_to=/a&next=/b",
        "/auth/login?return_to=",
        "/auth/login",
        "/cart?next=/a",
    ]


def test_the_name_of_the_redirect_parameter_is_read_from_django() -> None:
    program = """
from django.test import RequestFactory
from oauth_core.web.django import middleware, site
for name in ("next", "weiter"):
    print(middleware._request(site.site()[0], RequestFactory().get(f"/auth/login?{name}=/me")).target)
"""
    setting = '(setattr(__import__("django.contrib.auth").contrib.auth, "REDIRECT_FIELD_NAME", "weiter"), {})[1]'
    assert run(program, setting).split() == ["/auth/login?next=/me", "/auth/login?return_to=/me"]


def examples() -> list[str]:
    """The indented parts of the docstring of oauth_core.web.django.testing."""
    source = Path(oauth_core.__file__).parent / "web/django/testing.py"
    docstring = ast.get_docstring(ast.parse(source.read_text())) or ""
    parts: list[Any] = [[]]
    for line in docstring.splitlines():
        if line.startswith("    ") or (not line and parts[-1]):
            parts[-1].append(line)
        elif parts[-1]:
            parts.append([])
    return [textwrap.dedent("\n".join(part)) for part in parts if part]


def test_the_test_settings_example_of_the_documentation_works() -> None:
    in_settings, in_a_test = examples()
    assert "OAUTH = " in in_settings and "sign_in(" in in_a_test
    # As in a settings file, Django is not set up yet.
    settings_source = 'OAUTH = {"base_url": "https://shop.example", "key": None, "providers": None}\n' + in_settings
    program = f"""
from types import SimpleNamespace
self = SimpleNamespace(client=Client())
{in_a_test}
assert page.status_code == 200, page
print(page.content.decode(), ann.first_name)
"""
    names = '("base_url", "key", "transport")'
    setting = f'(lambda told: exec({settings_source!r}, told) or {{name: told["OAUTH"][name] for name in {names}}})({{}})'
    assert run(program, setting).strip() == "Ann ann Ann"
