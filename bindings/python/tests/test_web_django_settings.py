"""Django: the setting OAUTH and its hooks."""

from __future__ import annotations

import pytest
from test_web_django import run

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


def given(**hooks: str) -> str:
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
# Another tenant's page: they sign in there first.
there = people["acme"].get("/beta", HTTP_ACCEPT="text/html")
assert there.status_code == 303 and there.headers["location"].startswith("https://beta.example/authorize?"), there.headers

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
    setting = given(provider=provider, lookup='"asked"', providers="[]")
    assert run(TENANTS + program, setting).strip() == "/auth/login?return_to=%2Flater"


@pytest.mark.parametrize(("hook", "said"), [("signed_out", "('ann', 2)"), ("told_later", "('ann', 'later')")])
def test_the_application_is_told_who_has_signed_out(hook: str, said: str) -> None:
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
    setting = given(signed_out=f'"hooks.{hook}"')
    assert run(TENANTS + program, setting).strip() == f"{said}; {said}"


def test_a_coroutine_function_may_admit() -> None:
    program = """
urlpatterns += [path("role", lambda request: HttpResponse(request.oauth.local["role"]))]
print(come().get("/role").content.decode())
"""
    assert run(TENANTS + program, given(admit='"hooks.admit_later"')).strip() == "guest"
