"""Callers that time out, and closing sources."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from conftest import Answer, StubServer, Twin, expired, reply, server_at
from test_shared_request import wait_for

import oauth_core
from oauth_core import stores

Start = Callable[[Answer], StubServer]
Person = tuple[oauth_core.Client, oauth_core.Tokens]

TOKEN = b'{"access_token":"late","token_type":"Bearer","expires_in":3600}'


class SlowEndpoint:
    """A token endpoint that responds once `open` is set."""

    def __init__(self, plain: Start) -> None:
        self.open = threading.Event()
        response = reply(200, TOKEN, content_type="application/json")

        def respond_when_open(handler: BaseHTTPRequestHandler) -> None:
            assert self.open.wait(30)
            response(handler)

        self.server = plain(respond_when_open)
        self.client = oauth_core.Client(
            server_at(self.server.base), client_id="id", client_secret="secret"
        )


@pytest.fixture
def slow(plain: Start) -> Iterator[SlowEndpoint]:
    endpoint = SlowEndpoint(plain)
    yield endpoint
    endpoint.open.set()


def test_a_caller_that_times_out_does_not_end_the_request(slow: SlowEndpoint) -> None:
    source = slow.client.client_credentials()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(source.token)
        for _ in range(2):
            with pytest.raises(oauth_core.LostError) as caught:
                source.token(timeout=0.02)
            assert (caught.value.code, caught.value.advice) == ("lost.timeout", "retry")
        slow.open.set()
        assert waiting.result().access_token == "late"
    assert source.token(timeout=0.02).access_token == "late"
    assert len(slow.server.seen) == 1


def test_the_renewal_continues_after_every_caller_has_timed_out(slow: SlowEndpoint) -> None:
    stored: list[str] = []
    source = slow.client.client_credentials(
        on_tokens=lambda tokens: stored.append(tokens.access_token)
    )

    async def main() -> oauth_core.Tokens:
        pending = [source.atoken(timeout=0.02) for _ in range(20)]
        for error in await asyncio.gather(*pending, return_exceptions=True):
            assert isinstance(error, oauth_core.LostError) and error.code == "lost.timeout"
        slow.open.set()
        return await source.atoken(timeout=30)

    assert asyncio.run(main()).access_token == "late"
    assert (stored, len(slow.server.seen)) == (["late"], 1)


def test_a_timeout_applies_to_renew_too(slow: SlowEndpoint) -> None:
    source = slow.client.client_credentials()
    dead = oauth_core.Tokens.bearer("dead")
    with pytest.raises(oauth_core.LostError) as caught:
        source.renew(dead, timeout=0.02)
    assert caught.value.code == "lost.timeout"
    slow.open.set()
    assert asyncio.run(source.arenew(dead, timeout=30)).access_token == "late"
    assert len(slow.server.seen) == 1


def test_a_timeout_applies_to_a_fixed_token_callback(slow: SlowEndpoint) -> None:
    def fetch_token() -> str:
        assert slow.open.wait(30)
        return "text"

    source = oauth_core.fixed_token(callback=fetch_token, origins=["https://api.example"])
    with pytest.raises(oauth_core.LostError) as caught:
        source.token(timeout=0.02)
    assert caught.value.code == "lost.timeout"
    slow.open.set()
    assert asyncio.run(source.atoken(timeout=30)).access_token == "text"


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_must_be_a_positive_number_of_seconds(timeout: float) -> None:
    source = oauth_core.fixed_token("text", origins=["https://api.example"])
    with pytest.raises(ValueError, match="positive number of seconds"):
        source.token(timeout=timeout)


def test_leaving_the_block_completes_requests_under_way(generic: Twin, person: Person) -> None:
    client, tokens = person
    store = stores.MemoryStore()
    generic.fault("slow_body", millis_per_byte=1)
    with ThreadPoolExecutor(1) as pool:
        with client.source(store=store, subject="ann") as source:
            source.log_in(expired(tokens))
            pending = pool.submit(source.token)
            wait_for(generic, "refreshes", 1)
        # Only leaving the block has waited for it.
        record = store.load(source.key or "")
        renewed = pending.result()
    assert record and renewed.access_token in record[1]
    assert source.token().access_token == renewed.access_token, "what is at hand is handed out"
    with pytest.raises(oauth_core.MisuseError) as caught:
        source.renew(renewed)
    assert (caught.value.code, caught.value.advice) == ("token_source.closed", "give_up")
    source.close()
    assert generic.counters["refreshes"] == 1


def test_an_async_with_block_closes_the_source(generic: Twin, person: Person) -> None:
    client, tokens = person

    async def main() -> None:
        made = client.source(tokens)
        async with made as source:
            assert source is made and (await source.atoken()).access_token
        await made.aclose()
        with pytest.raises(oauth_core.MisuseError, match=r"token_source\.closed"):
            await made.arenew(tokens)

    asyncio.run(main())
    assert generic.counters["refreshes"] == 0


def test_an_exception_propagates_out_of_the_block_and_closes_the_source(client: oauth_core.Client) -> None:
    source = client.client_credentials()
    with pytest.raises(KeyError, match="mine"), source as entered:
        assert entered is source
        raise KeyError("mine")
    with pytest.raises(oauth_core.MisuseError, match=r"token_source\.closed"):
        source.token()


def test_leaving_the_block_of_one_source_of_grants_does_not_close_it(generic: Twin, person: Person) -> None:
    client, tokens = person
    with oauth_core.Grants(client, stores.MemoryStore()) as sessions:
        sessions.log_in("ann", tokens)
        with sessions.get("ann") as source:
            first = source.token()

        async def leave() -> None:
            async with sessions.get("ann") as again:
                assert (await again.atoken()).access_token == first.access_token

        asyncio.run(leave())
        held: Any = sessions.get("ann")
        renewed = held.renew(first)
        assert renewed.access_token != first.access_token
    with pytest.raises(oauth_core.MisuseError) as caught:
        held.renew(renewed)
    assert caught.value.code == "token_source.closed"
    assert generic.counters["refreshes"] == 1


def test_an_async_with_block_closes_grants_and_their_sources(person: Person) -> None:
    client, tokens = person

    async def main() -> None:
        async with oauth_core.Grants(client, stores.MemoryStore()) as sessions:
            await sessions.alog_in("ann", tokens)
            source = sessions.get("ann")
        with pytest.raises(oauth_core.MisuseError, match=r"token_source\.closed"):
            await source.arenew(tokens)
        await sessions.aclose()
        sessions.close()

    asyncio.run(main())
