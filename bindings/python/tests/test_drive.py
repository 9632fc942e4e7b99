"""Exchanges without the built-in transport: each is a generator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator
from typing import Any

import httpx
import httpx2
import pytest
from conftest import CALLBACK, Answer, StubServer, Twin, approve, generic_client, reply, server_at

import oauth_core
from oauth_core import drive

REPLY = (200, [("content-type", "application/json")], b'{"access_token":"t","token_type":"Bearer"}')


def offline() -> oauth_core.Client:
    return oauth_core.Client(
        oauth_core.provider("socios"), client_id="id", client_secret="top secret"
    )


def test_an_exchange_is_a_generator() -> None:
    exchange = offline().exchange.client_credentials(scope="read")
    assert isinstance(exchange, Generator)
    assert iter(exchange) is exchange
    step = next(exchange)
    assert isinstance(step, oauth_core.Send)
    assert (step.method, step.url) == ("POST", "https://partner.socios.com/oauth2/token")
    assert dict(step.headers)["content-type"] == "application/x-www-form-urlencoded"
    assert step.body == b"grant_type=client_credentials&scope=read"
    with pytest.raises(StopIteration) as done:
        exchange.send(REPLY)
    assert done.value.value.access_token == "t"
    with pytest.raises(oauth_core.MisuseError) as caught:
        exchange.send(None)
    assert caught.value.code == "misuse.already_finished"


def test_yield_from_delegates_send_throw_and_close() -> None:
    def outer() -> Generator[Any, Any, str]:
        tokens = yield from offline().exchange.client_credentials()
        return f"got {tokens.access_token}"

    flow = outer()
    assert isinstance(next(flow), oauth_core.Send)
    with pytest.raises(StopIteration) as done:
        flow.send(REPLY)
    assert done.value.value == "got t"

    flow = outer()
    next(flow)
    with pytest.raises(oauth_core.LostError) as caught:
        flow.throw(OSError("https://as.example/?code=secret"))
    assert isinstance(caught.value.__cause__, OSError)
    assert "secret" not in str(caught.value)

    flow = outer()
    next(flow)
    flow.close()
    with pytest.raises(KeyboardInterrupt):
        exchange = offline().exchange.client_credentials()
        next(exchange)
        exchange.throw(KeyboardInterrupt)


def test_a_custom_moment_makes_requests_reproducible() -> None:
    seen: list[float] = []

    def moment() -> tuple[float, bytes]:
        seen.append(1_750_000_000 + len(seen))
        return seen[-1], bytes([7]) * 32

    first, second = (
        offline().authorize(redirect_uri=CALLBACK, moment=moment) for _ in range(2)
    )
    assert first.url == second.url
    assert first.url != offline().authorize(redirect_uri=CALLBACK).url
    assert json.loads(first.serialize())["started_at"] == 1_750_000_000

    exchange = offline().exchange.client_credentials(moment=moment)
    next(exchange)
    with pytest.raises(StopIteration) as done:
        exchange.send(REPLY)
    assert done.value.value.received_at.timestamp() == 1_750_000_003
    assert len(seen) == 4, "one for each step"


@pytest.mark.parametrize(
    "value", [(1, b"short"), (-1, b"x" * 32), (float("nan"), b"x" * 32), (1, "x" * 32), None]
)
def test_an_invalid_moment_is_rejected(value: Any) -> None:
    exchange = offline().exchange.client_credentials(moment=lambda: value)
    with pytest.raises((ValueError, TypeError)):
        next(exchange)
    with pytest.raises((ValueError, TypeError)):
        offline().authorize(redirect_uri=CALLBACK, moment=lambda: value)


def test_a_moment_that_raises_prevents_the_step() -> None:
    faults = [OSError("no clock")]

    def moment() -> tuple[float, bytes]:
        if faults:
            raise faults.pop()
        return 1_750_000_000, bytes(32)

    exchange = offline().exchange.client_credentials(moment=moment)
    with pytest.raises(OSError, match="no clock"):
        next(exchange)
    assert isinstance(next(exchange), oauth_core.Send)


def test_an_out_of_order_reply_is_rejected() -> None:
    exchange = offline().exchange.client_credentials()
    with pytest.raises(oauth_core.MisuseError) as caught:
        exchange.send(REPLY)
    assert caught.value.code == "misuse.out_of_order"
    exchange = offline().exchange.client_credentials()
    next(exchange)
    with pytest.raises(TypeError):
        exchange.send("nonsense")  # type: ignore[arg-type]
    with pytest.raises(oauth_core.MisuseError):
        exchange.send(b"a signature nobody asked for")


def test_a_response_over_one_mebibyte_is_rejected() -> None:
    exchange = offline().exchange.client_credentials()
    next(exchange)
    with pytest.raises(oauth_core.MalformedError) as caught:
        exchange.send((200, [], b" " * (1 << 20) + b"{}"))
    assert caught.value.code == "reply.too_large"


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_all_operations_run_over_the_httpx_client_of_the_caller(generic: Twin, library: Any) -> None:
    client = generic_client(generic)
    with library.Client(timeout=10) as http:
        issuer = drive.run(
            oauth_core.discover_exchange(generic.base, transport="loopback_http"), http
        )
        assert issuer.issuer == generic.base
        tokens = drive.run(client.exchange.client_credentials(scope="read"), http)
        state = drive.run(client.exchange.introspect(token=tokens.access_token), http)
        assert state.active
        assert drive.run(client.exchange.revoke(token=tokens.access_token), http) is None
        public = generic_client(generic, public=True)
        flow = public.authorize(redirect_uri=CALLBACK, scope="read offline_access")
        person = drive.run(public.exchange.redeem(flow, approve(flow.url)), http)
        assert drive.run(public.exchange.refresh(tokens=person), http).access_token


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_exchange_runs_over_an_async_httpx_client(generic: Twin, library: Any) -> None:
    client = generic_client(generic)

    async def main() -> oauth_core.Tokens:
        async with library.AsyncClient() as http:
            return await drive.arun(client.exchange.client_credentials(scope="read"), http)

    assert asyncio.run(main()).scope == {"read"}


Start = Callable[[Answer], StubServer]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_the_driver_rejects_redirects_and_oversized_responses_and_reports_losses(plain: Start, library: Any) -> None:
    thief = plain(reply(200, b"{}"))
    server = plain(reply(307, location=f"{thief.base}/token"))
    client = oauth_core.Client(server_at(server.base), client_id="id", client_secret="secret")
    with library.Client(follow_redirects=True, auth=("user", "password")) as http:
        with pytest.raises(oauth_core.MalformedError) as caught:
            drive.run(client.exchange.client_credentials(), http)
    assert caught.value.code == "reply.redirect"
    assert thief.seen == [] and len(server.seen) == 1
    assert server.seen[0][2]["authorization"].startswith("Basic aWQ6"), "not the user's own"

    large = plain(reply(200, b"x" * 5_000_000))
    client = oauth_core.Client(server_at(large.base), client_id="id", client_secret="secret")
    with library.Client() as http, pytest.raises(oauth_core.MalformedError) as caught:
        drive.run(client.exchange.client_credentials(), http)
    assert caught.value.code == "reply.too_large"

    client = oauth_core.Client(server_at("http://127.0.0.1:9"), client_id="id", client_secret="secret")
    with library.Client() as http, pytest.raises(oauth_core.LostError) as lost:
        drive.run(client.exchange.client_credentials(), http)
    assert isinstance(lost.value.__cause__, library.ConnectError)


def test_an_exchange_runs_over_urllib(generic: Twin) -> None:
    """The whole driver, for a library we do not know."""
    import urllib.request

    exchange = generic_client(generic).exchange.client_credentials()
    try:
        step = next(exchange)
        while True:
            assert isinstance(step, oauth_core.Send)
            request = urllib.request.Request(
                step.url, step.body, dict(step.headers), method=step.method
            )
            with urllib.request.urlopen(request) as response:
                step = exchange.send((response.status, response.headers.items(), response.read()))
    except StopIteration as done:
        assert json.loads(done.value.serialize())["access_token"]


def test_a_driver_sleeps_for_the_requested_time() -> None:
    def waits() -> Generator[drive.Step, drive.StepResult, str]:
        assert (yield oauth_core.Sleep(1.5)) is None
        assert (yield oauth_core.Sleep(2)) is None
        return "rested"

    async def asleep(seconds: float) -> None:
        slept.append(seconds)

    slept: list[float] = []
    nobody: Any = None
    exchange: Any = waits()
    assert drive.run(exchange, nobody, sleep=slept.append) == "rested"
    exchange = waits()
    assert asyncio.run(drive.arun(exchange, nobody, sleep=asleep)) == "rested"
    assert slept == [1.5, 2, 1.5, 2]
