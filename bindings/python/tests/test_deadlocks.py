"""Calls in a hook that would wait for the hook."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest
from conftest import Answer, StubServer, Twin, expired
from test_logout_of_source import RotatingServer

import oauth_core
from oauth_core import stores

Tokens = oauth_core.Tokens

# Each of these calls would wait for the renewal in whose hook it is made.
CALLS: dict[str, Callable[[Any], object]] = {
    "token": lambda source: source.token(),
    "atoken": lambda source: asyncio.run(source.atoken()),
    "log_out": lambda source: source.log_out(),
    "alog_out": lambda source: asyncio.run(source.alog_out()),
    "drain": lambda source: source.drain(timeout=2),
    "adrain": lambda source: asyncio.run(source.adrain(timeout=2)),
    "close": lambda source: source.close(),
    "aclose": lambda source: asyncio.run(source.aclose()),
    "with": lambda source: source.__enter__().__exit__(None, None, None),
    "thread": lambda source: asyncio.run(asyncio.to_thread(source.drain, timeout=2)),
}


@pytest.fixture
def world(plain: Callable[[Answer], StubServer]) -> RotatingServer:
    return RotatingServer(plain)


def refused(call: Callable[[], object]) -> str:
    """The code of the error of a call that is refused at once."""
    start = time.monotonic()
    with pytest.raises(oauth_core.OAuthError) as caught:
        call()
    assert time.monotonic() - start < 1
    return caught.value.code


@pytest.mark.parametrize("name", CALLS)
def test_a_hook_of_a_source_cannot_wait_for_the_source(world: RotatingServer, name: str) -> None:
    seen: list[str] = []

    def hook(_: Tokens) -> None:
        seen.append(refused(lambda: CALLS[name](source)))

    source = world.client.source(expired(world.login("ann")), on_tokens=hook)
    assert source.token(timeout=20).access_token == "new-1"
    assert seen == ["misuse.deadlock"]
    # Nothing has ended, and after the hook the call is possible.
    assert source.token().access_token == "new-1"
    CALLS[name](source)


def test_a_hook_of_a_source_waits_for_other_sources(world: RotatingServer) -> None:
    seen: list[str] = []
    other = world.client.source(expired(world.login("ben")))
    third = world.client.source(expired(world.login("cleo")))

    def hook(_: Tokens) -> None:
        seen.append(other.token(timeout=20).access_token)
        seen.append(asyncio.run(third.atoken(timeout=20)).access_token)
        other.close()
        third.log_out()

    source = world.client.source(expired(world.login("ann")), on_tokens=hook)
    source.token(timeout=20)
    assert seen == ["new-2", "new-3"]
    assert refused(third.token) == "grant.no_refresh_token"


def test_hooks_do_not_wait_for_each_other(world: RotatingServer) -> None:
    seen: list[str] = []

    def hook(_: Tokens) -> None:
        other.token(timeout=20)
        seen.append("other renewed")

    def hook_of_other(_: Tokens) -> None:
        seen.append(refused(lambda: source.token(timeout=5)))

    source = world.client.source(expired(world.login("ann")), on_tokens=hook)
    other = world.client.source(expired(world.login("ben")), on_tokens=hook_of_other)
    source.token(timeout=20)
    assert seen == ["misuse.deadlock", "other renewed"]


def test_a_source_of_the_same_record_is_the_same_source(world: RotatingServer) -> None:
    store = stores.MemoryStore()
    seen: list[str] = []

    def hook(_: Tokens) -> None:
        seen.append(refused(lambda: twin.token(timeout=5)))

    source = world.client.source(store=store, subject="ann", on_tokens=hook)
    twin = world.client.source(store=store, subject="ann")
    source.log_in(world.login("ann"))
    source.renew(source.token(), timeout=20)
    assert seen == ["misuse.deadlock"]


def test_a_hook_of_grants_cannot_wait_for_its_user(world: RotatingServer) -> None:
    store = stores.MemoryStore()
    seen: list[str] = []

    def hook(subject: str | None, _: Tokens) -> None:
        if subject != "ann":
            return
        for call in (
            lambda: grants.log_out("ann"),
            lambda: asyncio.run(grants.alog_out("ann")),
            lambda: grants.get("ann").token(timeout=2),
            lambda: grants.get("ann").drain(timeout=2),
            lambda: grants.drain(timeout=2),
            lambda: asyncio.run(grants.adrain(timeout=2)),
            grants.close,
            lambda: asyncio.run(grants.aclose()),
        ):
            seen.append(refused(call))
        # The grant is kept for the other callers.
        grants.get("ann").close()
        ben = grants.get("ben")
        seen.append(ben.renew(ben.token(), timeout=20).access_token)
        grants.log_out("ben")

    grants = oauth_core.Grants(world.client, store, on_renewed=hook)
    grants.log_in("ben", world.login("ben"))
    grants.log_in("ann", world.login("ann"))
    ann = grants.get("ann")
    ann.renew(ann.token(), timeout=20)
    assert seen == ["misuse.deadlock"] * 8 + ["new-2"]
    assert refused(grants.get("ben").token) == "grant.no_refresh_token"
    grants.log_out("ann")
    grants.close()


def test_users_wait_for_each_other_if_renewals_are_limited(world: RotatingServer) -> None:
    seen: list[str] = []

    def hook(subject: str | None, _: Tokens) -> None:
        if subject == "ann":
            seen.append(refused(lambda: grants.get("ben").token(timeout=5)))

    grants = oauth_core.Grants(world.client, stores.MemoryStore(), at_once=1, on_renewed=hook)
    for user in ("ben", "ann"):
        grants.log_in(user, world.login(user))
    ann = grants.get("ann")
    ann.renew(ann.token(), timeout=20)
    assert seen == ["misuse.deadlock"]


def test_an_api_cannot_be_called_in_a_hook_of_its_source(world: RotatingServer) -> None:
    seen: list[str] = []
    origin = world.server.base

    def hook(_: Tokens) -> None:
        seen.extend(api_calls(oauth_core.Api(source, origins=[origin], transport="loopback_http")))
        seen.extend(api_calls(oauth_core.Api(Counting(other), origins=[origin], transport="loopback_http")))
        seen.append(refused(lambda: source.get(f"{origin}/api", origins=[origin], timeout=5)))

    def api_calls(api: oauth_core.Api) -> list[str]:
        url = f"{origin}/api"
        return [refused(lambda: api.get(url, timeout=5)), refused(lambda: asyncio.run(api.aget(url, timeout=5)))]

    source = world.client.source(expired(world.login("ann")), on_tokens=hook)
    other = world.client.source(world.login("ben"))
    source.token(timeout=20)
    # Nobody knows for what a source of the application waits.
    assert seen == ["misuse.deadlock"] * 5


class Counting:
    """A source of an application."""

    def __init__(self, source: oauth_core.GrantSource) -> None:
        self.source = source

    def token(self) -> Tokens:
        return self.source.token()

    def renew(self, tokens: Tokens, /) -> Tokens:
        return self.source.renew(tokens)

    def invalidate(self, tokens: Tokens, /) -> None:
        self.source.invalidate(tokens)


def test_a_call_that_a_hook_has_only_scheduled_is_possible(world: RotatingServer) -> None:
    async def main() -> str:
        scheduled: list[asyncio.Task[None]] = []
        may_begin, is_scheduled = asyncio.Event(), asyncio.Event()

        async def leave() -> None:
            await may_begin.wait()
            await source.alog_out()

        def schedule() -> None:
            scheduled.append(asyncio.create_task(leave()))
            is_scheduled.set()

        def hook(_: Tokens) -> None:
            loop.call_soon_threadsafe(schedule)

        loop = asyncio.get_running_loop()
        source = world.client.source(expired(world.login("ann")), on_tokens=hook)
        await source.atoken()
        await is_scheduled.wait()
        may_begin.set()
        await scheduled[0]
        with pytest.raises(oauth_core.OAuthError) as caught:
            await source.atoken()
        return caught.value.code

    assert asyncio.run(main()) == "grant.no_refresh_token"


def test_other_threads_are_not_in_the_hook(world: RotatingServer) -> None:
    seen: list[str] = []

    def hook(_: Tokens) -> None:
        drained = threading.Thread(target=lambda: seen.append(refused(lambda: source.token(timeout=0.2))))
        drained.start()
        drained.join(20)

    source = world.client.source(expired(world.login("ann")), on_tokens=hook)
    source.token(timeout=20)
    # It waits, for as long as it was told, or gets the new tokens.
    assert seen == ["lost.timeout"]


def test_a_connection_refuses_calls_in_the_function_that_opens_its_page(generic: Twin) -> None:
    url = f"{generic.base}/api/echo"
    seen: list[str] = []

    def show(page: str) -> None:
        for call in (api.token, lambda: asyncio.run(api.atoken()), lambda: api.get(url), api.forget):
            seen.append(refused(call))
        threading.Thread(target=lambda: urlopen(page, timeout=20).close()).start()

    api = oauth_core.ResourceConnection(url, client_name="Notes", transport="loopback_http", timeout=20, open=show)
    assert api.token(timeout=20).access_token
    assert seen == ["misuse.deadlock"] * 4
