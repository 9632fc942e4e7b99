"""Django: sessions of deactivated and deleted users."""

from __future__ import annotations

import pytest
from test_web_django import run

GUARDED = """
import asyncio
import functools
from asgiref.sync import sync_to_async
from django.utils.decorators import method_decorator
from django.views import View
from oauth_core.web.django import required

class Sync(View):
    def get(self, request): return HttpResponse("in")

class Async(View):
    async def get(self, request): return HttpResponse("in")

class Overriding(View):
    async def get(self, request): return HttpResponse("in")
    def dispatch(self, request): return super().dispatch(request)

def other(decorated):
    @functools.wraps(decorated)
    def page(*args): return decorated(*args)
    return page

def view(request): return HttpResponse("in")
async def coroutine(request): return HttpResponse("in")

GUARDS = {"plain": required, "acr": required(acr=["mfa"]), "age": required(max_age=10**9)}
views = {}
for guard, one in GUARDS.items():
    views[f"view-{guard}"] = one(view)
    views[f"coroutine-{guard}"] = one(coroutine)
    for kind in (Sync, Async, Overriding):
        views[f"{kind.__name__}-{guard}"] = one(kind.as_view())
        for how, decorators in {"dispatch": one, "among": [one, other]}.items():
            dispatched = method_decorator(decorators, name="dispatch")(type(kind.__name__, (kind,), {}))
            views[f"{kind.__name__}-{how}-{guard}"] = dispatched.as_view()
urlpatterns += [path(name, one) for name, one in views.items()]
import time
ann_now = {"acr": "mfa", "auth_time": int(time.time())}
"""


def test_required_redirects_a_deactivated_user_to_the_login() -> None:
    program = """
for name in views:
    ann = come(**ann_now)
    assert ann.get(f"/{name}").content == b"in", name
    ann.person.is_active = False
    ann.person.save()
    script = ann.get(f"/{name}")
    assert script.status_code == 401 and script.cookies["oauth-session"]["max-age"] == "0", (name, script)
    again = ann.get(f"/{name}", HTTP_ACCEPT="text/html")
    assert again.status_code == 303 and again.headers["location"].startswith("https://login.example/"), (name, again)
    # The session has ended, and is not restored with the user.
    ann.person.is_active = True
    ann.person.save()
    assert ann.get(f"/{name}").status_code == 401
    ann = come(**ann_now)
    ann.person.is_active = False
    ann.person.save()
    page = ann.get(f"/{name}", HTTP_ACCEPT="text/html")
    assert page.status_code == 303 and "/auth/login?" in page.headers["location"], (name, page.headers)
    ann.person.is_active = True
    ann.person.save()
print(len(views))
"""
    assert run(GUARDED + program).split() == ["33"]


def test_required_rejects_a_deactivated_user_in_an_asynchronous_application() -> None:
    program = """
async def main():
    for name in views:
        ann = AsyncClient()
        person = await sync_to_async(sign_in)(ann, "ann", **ann_now)
        assert (await ann.get(f"/{name}")).content == b"in", name
        person.is_active = False
        await person.asave()
        refused = await ann.get(f"/{name}")
        assert refused.status_code == 401 and refused.cookies["oauth-session"]["max-age"] == "0", name
        person.is_active = True
        await person.asave()

asyncio.run(main())
print(len(views))
"""
    assert run(GUARDED + program).split() == ["33"]


def test_a_deleted_user_is_signed_out() -> None:
    program = """
ann = come(**ann_now)
ann.person.delete()
print(ann.get("/view-plain").status_code)
"""
    assert run(GUARDED + program).split() == ["401"]


@pytest.mark.parametrize("admit_mode", ['{"access": "signed_in"}', '{"access": "open"}'])
def test_access_signed_in_rejects_a_deactivated_user_and_access_open_does_not(admit_mode: str) -> None:
    program = """
urlpatterns += [path("open", view), path("later", coroutine)]
ann = come()
seen = [ann.get("/open").status_code]
ann.person.is_active = False
ann.person.save()
seen.append(ann.get("/open").status_code)

async def main():
    bob = AsyncClient()
    person = await sync_to_async(sign_in)(bob, "bob")
    seen.append((await bob.get("/later")).status_code)
    person.is_active = False
    await person.asave()
    seen.append((await bob.get("/later")).status_code)

asyncio.run(main())
print(*seen)
"""
    refused = "401" if "signed_in" in admit_mode else "200"
    assert run(GUARDED + program, admit_mode).split() == ["200", refused, "200", refused]


def test_open_views_treat_a_deactivated_user_as_anonymous() -> None:
    program = """
from django.contrib.auth import alogout

def told(request): return f"{request.user.is_authenticated} {request.oauth is not None}"
def open_view(request): return HttpResponse(told(request))
async def later(request):
    user = await request.auser()
    return HttpResponse(f"{told(request)} {user.is_authenticated}")
async def leave(request):
    await alogout(request)
    return HttpResponse("bye")
urlpatterns += [path("open", open_view), path("later", later), path("leave", leave)]

def state(person, is_active):
    person.is_active = is_active
    person.save()

ann = come()
for is_active in (True, False, True):
    state(ann.person, is_active)
    print(ann.get("/open").content, ann.get("/later").content)
# A view may still end the session.
state(ann.person, False)
assert ann.get("/out").cookies["oauth-session"]["max-age"] == "0"
state(ann.person, True)
print(ann.get("/open").content)
deleted = come("cid")
deleted.person.delete()
print(deleted.get("/open").content)

async def main():
    bob = AsyncClient()
    person = await sync_to_async(sign_in)(bob, "bob")
    for is_active in (True, False, True):
        await sync_to_async(state)(person, is_active)
        print((await bob.get("/open")).content, (await bob.get("/later")).content)
    await sync_to_async(state)(person, False)
    assert (await bob.get("/leave")).cookies["oauth-session"]["max-age"] == "0"
    print((await AsyncClient().get("/later")).content)

asyncio.run(main())
"""
    signed_in, nobody = "b'True True' b'True True True'", "b'False False' b'False False False'"
    alone = "b'False False'"
    assert run(GUARDED + program).splitlines() == [
        signed_in, nobody, signed_in, alone, alone, signed_in, nobody, signed_in, "b'False False False'"]
