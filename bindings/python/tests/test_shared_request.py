"""One token request for all waiting callers, which continues if they stop waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import pytest
from conftest import Answer, StubServer, Twin, expired, reply, server_at

import oauth_core

Person = tuple[oauth_core.Client, oauth_core.Tokens]


def wait_for(twin: Twin, counter: str, value: int) -> None:
    end = time.monotonic() + 20
    while twin.counters[counter] < value:
        assert time.monotonic() < end, counter
        time.sleep(0.005)


def test_200_threads_share_one_token_request(generic: Twin, person: Person) -> None:
    client, tokens = person
    source = client.source(expired(tokens))
    before = generic.counters["token_requests"]
    gate = threading.Barrier(200)

    def fetch_token(_: int) -> str:
        gate.wait()
        return source.token().access_token

    with ThreadPoolExecutor(200) as pool:
        access_tokens = set(pool.map(fetch_token, range(200)))
    assert len(access_tokens) == 1 and tokens.access_token not in access_tokens
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)


def test_1000_tasks_share_one_token_request(generic: Twin, person: Person) -> None:
    client, tokens = person
    source = client.source(expired(tokens))
    before = generic.counters["token_requests"]

    async def main() -> set[str]:
        tasks = [asyncio.create_task(source.atoken()) for _ in range(1000)]
        return {token.access_token for token in await asyncio.gather(*tasks)}

    assert len(asyncio.run(main())) == 1
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)


def test_threads_and_tasks_with_a_rejected_token_share_one_request(
    generic: Twin, client: oauth_core.Client
) -> None:
    source = client.client_credentials()
    rejected = source.token()

    async def main() -> set[str]:
        in_tasks = [source.arenew(rejected) for _ in range(100)]
        in_threads = [asyncio.to_thread(source.renew, rejected) for _ in range(50)]
        return {token.access_token for token in await asyncio.gather(*in_tasks, *in_threads)}

    renewed = asyncio.run(main())
    assert len(renewed) == 1 and rejected.access_token not in renewed
    assert generic.counters["token_requests"] == 2


def test_cancelling_the_first_caller_does_not_end_the_renewal(generic: Twin, person: Person) -> None:
    client, tokens = person
    stored: list[oauth_core.Tokens] = []
    source = client.source(expired(tokens), on_tokens=stored.append)
    before = generic.counters["token_requests"]
    generic.fault("slow_body", millis_per_byte=2)

    async def main() -> oauth_core.Tokens:
        leader = asyncio.create_task(source.atoken())
        await asyncio.to_thread(wait_for, generic, "refreshes", 1)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        return await source.atoken()

    access_tokens = asyncio.run(main())
    assert access_tokens.refresh_token != tokens.refresh_token
    assert generic.counters["token_requests"] - before == 1
    assert [new.access_token for new in stored] == [access_tokens.access_token]


def test_an_asyncio_timeout_does_not_end_the_renewal(generic: Twin, person: Person) -> None:
    client, tokens = person
    source = client.source(expired(tokens))
    generic.fault("slow_body", millis_per_byte=2)

    async def main() -> oauth_core.Tokens:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(source.atoken(), 0.05)
        return await source.atoken()

    assert asyncio.run(main()).refresh_token != tokens.refresh_token
    assert generic.counters["reuse_events"] == 0


def test_closing_the_event_loop_does_not_end_the_renewal(generic: Twin, person: Person) -> None:
    client, tokens = person
    source = client.source(expired(tokens))
    generic.fault("slow_body", millis_per_byte=1)

    async def start() -> None:
        asyncio.ensure_future(source.atoken())
        await asyncio.to_thread(wait_for, generic, "refreshes", 1)

    asyncio.run(start())
    assert source.token().refresh_token != tokens.refresh_token
    assert generic.counters["reuse_events"] == 0


def test_an_error_reaches_all_waiters_and_the_next_caller_retries(
    plain: Callable[[Answer], StubServer],
) -> None:
    refuse = reply(503)

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.5)
        refuse(handler)

    server = plain(slowly)
    client = oauth_core.Client(server_at(server.base), client_id="id", client_secret="secret")
    source = client.client_credentials()

    async def main() -> list[object]:
        pending = (source.atoken() for _ in range(20))
        return list(await asyncio.gather(*pending, return_exceptions=True))

    errors = asyncio.run(main())
    assert len({id(error) for error in errors}) == 20, "each has an exception of its own"
    for error in errors:
        assert isinstance(error, oauth_core.OAuthError)
        # The first failure names a pause too, of a second, and holds up no other caller.
        assert (error.advice, error.retry_after) == ("retry", 1)
    assert len(server.seen) == 1
    with pytest.raises(oauth_core.OAuthError):
        source.token()
    assert len(server.seen) == 2


def test_retry_after_is_absent_if_retrying_cannot_help(plain: Callable[[Answer], StubServer]) -> None:
    refused = reply(401, b'{"error":"invalid_client"}', content_type="application/json")
    server = plain(refused)
    client = oauth_core.Client(server_at(server.base), client_id="id", client_secret="secret")
    source = client.client_credentials()
    for _ in range(3):
        with pytest.raises(oauth_core.DeniedError) as caught:
            source.token()
        error = caught.value
        assert (error.code, error.advice) == ("denied.invalid_client", "give_up")
        assert error.retry_after is None
    assert error.repeated and "next attempt in" in str(error)


def test_the_servers_retry_delay_is_respected(plain: Callable[[Answer], StubServer]) -> None:
    server = plain(reply(503, retry_after="70"))
    client = oauth_core.Client(server_at(server.base), client_id="id", client_secret="secret")
    source = client.client_credentials()
    for repeated in (False, True, True):
        with pytest.raises(oauth_core.OAuthError) as caught:
            source.token()
        # A second more than the server says, so that a caller who waits that long does not get the same error again.
        assert caught.value.retry_after in (70, 71)
        assert caught.value.repeated is repeated
    with pytest.raises(oauth_core.OAuthError) as caught:
        client.client_credentials(scope="another").token()
    assert caught.value.repeated
    assert len(server.seen) == 1


def test_on_tokens_runs_before_callers_get_tokens_and_its_error_loses_none(client: oauth_core.Client) -> None:
    def store(tokens: oauth_core.Tokens) -> None:
        seen.append(tokens.serialize())
        raise RuntimeError("the disk is full")

    seen: list[str] = []
    source = client.client_credentials(on_tokens=store)
    assert source.on_tokens is store
    with pytest.raises(RuntimeError, match="the disk is full"):
        source.token()
    tokens = source.token()
    assert len(seen) == 1 and tokens.access_token in seen[0]


def test_on_tokens_cannot_request_a_token_of_its_source(client: oauth_core.Client) -> None:
    caught: list[oauth_core.MisuseError] = []

    def store(_: oauth_core.Tokens) -> None:
        try:
            source.token()
        except oauth_core.MisuseError as error:
            caught.append(error)

    source = client.client_credentials(on_tokens=store)
    assert source.token().access_token
    assert caught[0].code == "misuse.deadlock"


def test_the_native_client_renews_once_after_a_401(generic: Twin, client: oauth_core.Client) -> None:
    source = client.client_credentials()
    origins = [generic.base]
    source.token()
    generic.expire()
    reply_ = source.request("POST", f"{generic.base}/api/echo", content=b"x", origins=origins)
    assert reply_.status in (200, 403)
    assert generic.counters["token_requests"] == 2


def test_invalidate_discards_only_the_given_token(generic: Twin, client: oauth_core.Client) -> None:
    source = client.client_credentials()
    first = source.token()
    source.invalidate(first)
    second = source.token()
    source.invalidate(first)
    assert source.token().access_token == second.access_token != first.access_token
    assert generic.counters["token_requests"] == 2
