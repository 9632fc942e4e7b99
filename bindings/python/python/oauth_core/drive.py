"""The door without our transport: runs an exchange over an HTTP client of yours.

``run`` takes an ``httpx.Client`` or ``httpx2.Client``, ``arun`` their ``AsyncClient``; for any
other library the loop below is all there is to write. A driver keeps four promises: it sends each
request exactly once, follows no redirect, reads at most 1 MiB of a reply, and tells the exchange of
every failure.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Iterable, Protocol, TypeVar, Union

from ._native import Send, Sign, Sleep

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from ._native import Exchange

__all__ = ["Answer", "AsyncHttpClient", "HttpClient", "Moment", "Step", "arun", "run"]

LIMIT = 1 << 20
"""What is read of a body; one byte more, and the exchange calls it too large."""

Step = Union[Send, Sleep, Sign]
"""What an exchange yields."""

Answer = Union[
    tuple[int, Iterable[tuple[Union[str, bytes], Union[str, bytes]]], bytes], bytes, None
]
"""What it takes: (status, headers, body) for a Send, None after a Sleep, bytes for a Sign."""

Moment = Callable[[], tuple[float, bytes]]
"""For tests and replays, in place of the system's clock and random source: asked before each step,
it gives the Unix time in seconds and 32 bytes, out of which state, nonce and verifier are made. No
two flows may have the same bytes."""

T = TypeVar("T")
Sign_ = Callable[[Sign], bytes]


class HttpClient(Protocol):
    """What ``run`` needs of httpx."""

    @property
    def stream(self) -> Callable[..., AbstractContextManager[Any]]: ...


class AsyncHttpClient(Protocol):
    """What ``arun`` needs of httpx."""

    @property
    def stream(self) -> Callable[..., AbstractAsyncContextManager[Any]]: ...


def run(
    exchange: Exchange[T],
    http: HttpClient,
    *,
    sign: Sign_ | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Runs an exchange to its end, and gives back what it leaves behind."""
    try:
        step = next(exchange)
        while True:
            step = _answer(exchange, step, http, sign, sleep)
    except StopIteration as done:
        result: T = done.value
        return result


def _answer(
    exchange: Exchange[T],
    step: Step,
    http: HttpClient,
    sign: Sign_ | None,
    sleep: Callable[[float], object],
) -> Step:
    if isinstance(step, Sleep):
        sleep(step.seconds)
        return exchange.send(None)
    try:
        answer = _sent(step, http) if isinstance(step, Send) else _signed(step, sign)
    except Exception as lost:
        return exchange.throw(lost)
    return exchange.send(answer)


def _sent(step: Send, http: HttpClient) -> Answer:
    body = bytearray()
    with http.stream(*_arguments(step), **_options(step)) as reply:
        for chunk in reply.iter_bytes():
            body += chunk
            if len(body) > LIMIT:
                break
        return reply.status_code, reply.headers.raw, bytes(body)


async def arun(
    exchange: Exchange[T],
    http: AsyncHttpClient,
    *,
    sign: Sign_ | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> T:
    """run(), in a coroutine; ``sleep`` is asyncio's unless you bring another."""
    if sleep is None:
        import asyncio

        sleep = asyncio.sleep
    try:
        step = next(exchange)
        while True:
            if isinstance(step, Sleep):
                await sleep(step.seconds)
                step = exchange.send(None)
                continue
            try:
                answer = await _asent(step, http) if isinstance(step, Send) else _signed(step, sign)
            except Exception as lost:
                step = exchange.throw(lost)
            else:
                step = exchange.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


async def _asent(step: Send, http: AsyncHttpClient) -> Answer:
    body = bytearray()
    async with http.stream(*_arguments(step), **_options(step)) as reply:
        async for chunk in reply.aiter_bytes():
            body += chunk
            if len(body) > LIMIT:
                break
        return reply.status_code, reply.headers.raw, bytes(body)


def _arguments(step: Send) -> tuple[str, str]:
    return step.method, step.url


def _options(step: Send) -> dict[str, Any]:
    # The client's own authentication and redirects are for other servers than this one.
    return {
        "headers": list(step.headers),
        "content": step.body,
        "auth": None,
        "follow_redirects": False,
    }


def _signed(step: Sign, sign: Sign_ | None) -> bytes:
    if sign is None:
        raise LookupError("this exchange needs a signature, and no sign was given")
    return sign(step)
