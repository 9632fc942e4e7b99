"""Loss codes derived from the exceptions of third-party HTTP clients."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import Any, Callable, Iterator

import aiohttp
import httpx
import httpx2
import pytest
import requests
from conftest import ROOT, example, process

import oauth_core
from oauth_core import drive

REFUSED = "http://127.0.0.1:9"


@contextmanager
def serving(handle: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that calls this with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            handle(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for one in connections:
            one.close()


def hang_up(connection: socket.socket) -> None:
    connection.recv(1)
    connection.close()


@pytest.fixture(scope="module")
def tls() -> Iterator[str]:
    """A server with an untrusted certificate."""
    with process(example("tls"), ROOT) as server_info:
        yield str(server_info["base"])


def exchange_at(base: str) -> oauth_core.Exchange[oauth_core.Tokens]:
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    return oauth_core.Client(server, client_id="id", client_secret="s").exchange.client_credentials()


def loss(call: Callable[[], object]) -> oauth_core.LostError:
    with pytest.raises(oauth_core.LostError) as caught:
        call()
    # The URL of the request appears once: it is not repeated in the error of the transport.
    assert str(caught.value).count("/token") == 1
    return caught.value


def loss_with(library: Any, base: str, **options: Any) -> oauth_core.LostError:
    def run() -> object:
        with library.Client(trust_env=False, **options) as http:
            return drive.run(exchange_at(base), http)

    async def run_async() -> object:
        async with library.AsyncClient(trust_env=False, **options) as http:
            return await drive.arun(exchange_at(base), http)

    sync_loss, async_loss = loss(run), loss(lambda: asyncio.run(run_async()))
    assert (sync_loss.code, sync_loss.advice) == (async_loss.code, async_loss.advice)
    return sync_loss


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_httpx_errors_are_mapped_to_loss_codes(library: Any, tls: str) -> None:
    assert loss_with(library, REFUSED).code == "lost.connect"
    assert loss_with(library, "https://as.invalid").code == "lost.dns"
    untrusted = loss_with(library, tls)
    assert (untrusted.code, untrusted.advice) == ("lost.tls", "give_up")
    assert "SSLCertVerificationError" in str(untrusted)
    with serving(lambda one: None) as silent:
        late = loss_with(library, silent, timeout=library.Timeout(5, read=0.05))
        assert (late.code, late.advice) == ("lost.timeout", "retry")
    with serving(hang_up) as closing:
        assert loss_with(library, closing).code == "lost.closed"


def loss_code(call: Callable[[], object]) -> str:
    """The code of the loss when this call's exception is thrown into an exchange."""
    exchange = exchange_at("https://as.example")
    next(exchange)
    try:
        call()
    except Exception as error:
        return loss(lambda: exchange.throw(error)).code
    raise AssertionError("nothing was raised")


def test_requests_errors_are_mapped_to_loss_codes(tls: str) -> None:
    def post(url: str, timeout: float = 5) -> Callable[[], object]:
        return lambda: requests.post(url, data="x", timeout=timeout)

    assert loss_code(post(REFUSED)) == "lost.connect"
    assert loss_code(post("https://as.invalid")) == "lost.dns"
    assert loss_code(post(tls)) == "lost.tls"
    with serving(lambda one: None) as silent:
        assert loss_code(post(silent, timeout=0.05)) == "lost.timeout"
    with serving(hang_up) as closing:
        assert loss_code(post(closing)) == "lost.closed"


def test_aiohttp_errors_are_mapped_to_loss_codes(tls: str) -> None:
    def post(url: str, seconds: float = 5) -> Callable[[], object]:
        async def send() -> None:
            timeout = aiohttp.ClientTimeout(total=seconds)
            async with aiohttp.ClientSession(timeout=timeout) as http, http.post(url, data="x"):
                pass

        return lambda: asyncio.run(send())

    assert loss_code(post(REFUSED)) == "lost.connect"
    assert loss_code(post("https://as.invalid")) == "lost.dns"
    assert loss_code(post(tls)) == "lost.tls"
    with serving(lambda one: None) as silent:
        assert loss_code(post(silent, seconds=0.05)) == "lost.timeout"
    with serving(hang_up) as closing:
        assert loss_code(post(closing)) == "lost.closed"


def test_implicit_exception_contexts_are_ignored() -> None:
    """A retry after a refused connection may have been sent, whatever came before it."""

    def with_suppressed_context() -> None:
        try:
            raise ConnectionRefusedError("the first try")
        except ConnectionRefusedError:
            raise OSError("the second") from None

    def with_implicit_context() -> None:
        try:
            raise ConnectionRefusedError("the first try")
        except ConnectionRefusedError:
            raise OSError("the second")  # noqa: B904

    class ConnectError(Exception):
        """An unrelated class with the name of a connection error."""

    def with_unrelated_class() -> None:
        raise ConnectError

    for call in (with_suppressed_context, with_implicit_context, with_unrelated_class):
        assert loss_code(call) == "lost"


def test_circular_exception_chains_are_cut_off() -> None:
    def raise_circular() -> None:
        one, other = OSError("one"), OSError("other")
        one.__cause__, other.__cause__ = other, one
        raise one

    assert loss_code(raise_circular) == "lost"


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_pool_timeout_is_reported_as_unsent(library: Any) -> None:
    def late() -> None:
        raise library.PoolTimeout("https://as.example/token")

    assert loss_code(late) == "lost.unsent"


def test_only_the_exception_itself_proves_that_nothing_was_sent() -> None:
    """What it came of may be the last of several tries, and an earlier one may have been sent."""
    base = "https://as.example"
    metadata = {
        "issuer": base,
        "token_endpoint": f"{base}/token",
        "authorization_endpoint": f"{base}/authorize",
    }
    client = oauth_core.Client(
        oauth_core.Server.from_metadata(base, metadata), client_id="id", client_secret="s"
    )
    refused = ConnectionRefusedError("no")
    retried = OSError("three tries failed")
    retried.__cause__ = refused
    for error, may_be_spent in ((refused, False), (retried, True)):
        flow = client.authorize(redirect_uri="https://app.example/cb")
        callback = f"https://app.example/cb?code=c&state={flow.state}"
        exchange = client.exchange.redeem(flow, callback)
        next(exchange)
        with pytest.raises(oauth_core.LostError) as caught:
            exchange.throw(error)
        assert caught.value.code == "lost.connect"
        assert ("may have been used" in str(caught.value)) is may_be_spent
