"""Runs an exchange over your own HTTP client, without the built-in transport.

``run`` takes an ``httpx.Client`` or ``httpx2.Client``, ``arun`` their ``AsyncClient``; for any
other library, write the loop below. A driver must send each
request exactly once, follow no redirect, read at most 1 MiB of a response, decompressed chunk by chunk if
it is compressed, and report every failure to the exchange.

``keep`` and ``akeep`` do the same for a keeper: they return fresh tokens.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Iterable, Protocol, TypeVar, Union

from ._lease import extended
from ._native import Exchange, Lease, Load, Save, Send, Sign, Sleep, Tokens
from ._reply_body import IDENTITY, Body
from .errors import OAuthError

if TYPE_CHECKING:
    from asyncio import Future
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from ._native import Keeper, Renewal
    from .stores import Store

__all__ = [
    "StepResult",
    "AsyncHttpClient",
    "HttpClient",
    "Moment",
    "TaskResult",
    "Step",
    "Task",
    "akeep",
    "arun",
    "keep",
    "run",
]

POLL_INTERVAL = 0.05
"""The interval at which a caller checks whether another caller's renewal is done, in seconds."""

Step = Union[Send, Sleep, Sign]
"""The steps that an exchange yields."""

StepResult = Union[
    tuple[int, Iterable[tuple[Union[str, bytes], Union[str, bytes]]], bytes], bytes, None
]
"""The results of these steps: (status, headers, body) for a Send, None after a Sleep, bytes for a Sign."""

Task = Union[Load, Lease, Save, Exchange[Tokens], Sleep]
"""The tasks that a renewal yields."""

TaskResult = Union[tuple[int, str], int, float, None]
"""The results of these tasks: (version, record) or None for a Load, the seconds until another holder's lease ends or None for
a Lease, the new version or None for a Save, None after an Exchange was run and after a Sleep."""

Moment = Callable[[], tuple[float, bytes]]
"""Replaces the system's clock and random source in tests and replays: called before each step,
it returns the Unix time in seconds and 32 bytes, from which state, nonce and verifier are derived. No
two flows may use the same bytes."""

T = TypeVar("T")
Signer = Callable[[Sign], bytes]


class HttpClient(Protocol):
    """The part of httpx that ``run`` needs."""

    @property
    def stream(self) -> Callable[..., AbstractContextManager[Any]]: ...


class AsyncHttpClient(Protocol):
    """The part of httpx that ``arun`` needs."""

    @property
    def stream(self) -> Callable[..., AbstractAsyncContextManager[Any]]: ...


def run(
    exchange: Exchange[T],
    http: HttpClient,
    *,
    sign: Signer | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Runs an exchange to its end, and returns its result."""
    try:
        step = next(exchange)
        while True:
            step = _carry_out(exchange, step, http, sign, sleep)
    except StopIteration as done:
        result: T = done.value
        return result


def _carry_out(
    exchange: Exchange[T],
    step: Step,
    http: HttpClient,
    sign: Signer | None,
    sleep: Callable[[float], object],
) -> Step:
    if isinstance(step, Sleep):
        sleep(step.seconds)
        return exchange.send(None)
    try:
        reply = _send(step, http) if isinstance(step, Send) else _signature(step, sign)
    except Exception as error:
        return exchange.throw(error)
    return exchange.send(reply)


def _send(step: Send, http: HttpClient) -> StepResult:
    with http.stream(*_arguments(step), **_options(step)) as response:
        body = Body(response)
        for chunk in response.iter_bytes() if body.is_unpacked else response.iter_raw():
            if not body.add(chunk):
                break
        return response.status_code, response.headers.raw, body.bytes()


async def arun(
    exchange: Exchange[T],
    http: AsyncHttpClient,
    *,
    sign: Signer | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> T:
    """The coroutine version of run(); ``sleep`` is asyncio's by default."""
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
                if isinstance(step, Send):
                    reply = await _asend(step, http)
                else:
                    reply = await _asignature(step, sign)
            except Exception as error:
                step = exchange.throw(error)
            else:
                step = exchange.send(reply)
    except StopIteration as done:
        result: T = done.value
        return result


async def _asend(step: Send, http: AsyncHttpClient) -> StepResult:
    async with http.stream(*_arguments(step), **_options(step)) as response:
        body = Body(response)
        async for chunk in response.aiter_bytes() if body.is_unpacked else response.aiter_raw():
            if not body.add(chunk):
                break
        return response.status_code, response.headers.raw, body.bytes()


def _arguments(step: Send) -> tuple[str, str]:
    return step.method, step.url


def _options(step: Send) -> dict[str, Any]:
    # The HTTP client's own authentication is for other servers, and redirects must not be followed.
    return {
        "headers": [*step.headers, IDENTITY],
        "content": step.body,
        "auth": None,
        "follow_redirects": False,
    }


def _signature(step: Sign, sign: Signer | None) -> bytes:
    return step.signature() if sign is None else sign(step)


async def _asignature(step: Sign, sign: Signer | None) -> bytes:
    if sign is not None:
        return sign(step)
    import asyncio

    # A key service may be slow, so it is called in a thread.
    return await asyncio.to_thread(step.signature)


def keep(
    keeper: Keeper,
    store: Store | None,
    http: HttpClient,
    *,
    refused: Tokens | None = None,
    sign: Signer | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Tokens:
    """Returns fresh tokens, other than those that a resource server ``refused``.

    One caller renews, the others wait for it. Tokens about to expire are renewed first, and returned
    nevertheless if that fails: ``keeper.last_error`` is then the reason. ``store`` is None only for a
    keeper that is not shared.
    """
    while True:
        decision = keeper.ask(refused)
        if decision.kind == "wait":
            sleep(POLL_INTERVAL)
        elif decision.kind == "use_token" and decision.tokens is not None:
            return decision.tokens
        else:
            try:
                return _renew(keeper, store, http, sign, sleep)
            except OAuthError:
                if decision.tokens is None:
                    raise
                return decision.tokens


def _renew(
    keeper: Keeper,
    store: Store | None,
    http: HttpClient,
    sign: Signer | None,
    sleep: Callable[[float], object],
) -> Tokens:
    renewal = keeper.renewal()
    try:
        task = next(renewal)
        while True:
            call_store = None if isinstance(task, (Exchange, Sleep)) else _store_call(store, keeper.key, task)
            try:
                result: TaskResult = None
                if call_store is not None:
                    result = call_store()
                elif isinstance(task, Exchange):
                    with extended(keeper, store):
                        run(task, http, sign=sign, sleep=sleep)
                elif isinstance(task, Sleep):
                    sleep(task.seconds)
            except Exception as failed:
                task = renewal.throw(failed)
            else:
                task = renewal.send(result)
    except StopIteration as done:
        tokens: Tokens = done.value
        return tokens
    finally:
        # Regardless of the outcome, the next caller can start a new renewal.
        renewal.close()


def _store_call(store: Store | None, key: str, task: Load | Lease | Save) -> Callable[[], TaskResult]:
    if store is None:
        raise TypeError("store must be given: this keeper is shared")
    if isinstance(task, Load):
        return lambda: store.load(key)
    if isinstance(task, Save):
        return lambda: store.save(key, task.record, task.version)
    return lambda: store.lease(key, task.holder, task.seconds)


_flights: set[Future[Any]] = set()


async def akeep(
    keeper: Keeper,
    store: Store | None,
    http: AsyncHttpClient,
    *,
    refused: Tokens | None = None,
    sign: Signer | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> Tokens:
    """The coroutine version of keep(), for asyncio; the store is called in threads.

    If a caller is cancelled, the renewal continues: keep ``http`` open for it.
    """
    import asyncio

    sleep = asyncio.sleep if sleep is None else sleep
    while True:
        decision = keeper.ask(refused)
        if decision.kind == "wait":
            await sleep(POLL_INTERVAL)
        elif decision.kind == "use_token" and decision.tokens is not None:
            return decision.tokens
        else:
            renewal = keeper.renewal()
            try:
                # Started before the task is created: a renewal whose task is cancelled before its first step would be lost.
                flight = asyncio.ensure_future(
                    _arenew(renewal, next(renewal), keeper, store, http, sign, sleep)
                )
                # The event loop holds only weak references to tasks.
                _flights.add(flight)
                flight.add_done_callback(_consume_error)
                return await asyncio.shield(flight)
            except StopIteration as done:
                tokens: Tokens = done.value
                return tokens
            except OAuthError:
                if decision.tokens is None:
                    raise
                return decision.tokens


def _consume_error(flight: Future[Any]) -> None:
    _flights.discard(flight)
    if not flight.cancelled():
        # Perhaps nobody awaited the task: asyncio would log an error that was never retrieved.
        flight.exception()


async def _arenew(
    renewal: Renewal,
    task: Task,
    keeper: Keeper,
    store: Store | None,
    http: AsyncHttpClient,
    sign: Signer | None,
    sleep: Callable[[float], Any],
) -> Tokens:
    import asyncio

    try:
        while True:
            call_store = None if isinstance(task, (Exchange, Sleep)) else _store_call(store, keeper.key, task)
            try:
                result: TaskResult = None
                if call_store is not None:
                    result = await asyncio.to_thread(call_store)
                elif isinstance(task, Exchange):
                    with extended(keeper, store):
                        await arun(task, http, sign=sign, sleep=sleep)
                elif isinstance(task, Sleep):
                    await sleep(task.seconds)
            except Exception as failed:
                task = renewal.throw(failed)
            else:
                task = renewal.send(result)
    except StopIteration as done:
        tokens: Tokens = done.value
        return tokens
    finally:
        renewal.close()
