"""The Python half of the native module's bridge to asyncio."""

from __future__ import annotations

from ._greenlets import hub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from typing import Any, Callable


async def wait(start: Callable[[], tuple[Any, Future[Any] | None]]) -> Any:
    """Starts a native operation and awaits it, unless it completes immediately."""
    value, future = start()
    return value if future is None else await future


def complete(future: Future[Any], value: Any, error: BaseException | None) -> None:
    """Completes a future, on the thread of its event loop; it may have been cancelled meanwhile."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def result_of_callback(result: Any) -> Any:
    """The result of an application's function. A coroutine is run to its end, in its own event loop.

    If a loop is already running, as when a coroutine takes a step manually, a separate thread runs it. The same applies
    to a greenlet, because a thread has one running loop for all of its greenlets.
    """
    if not hasattr(result, "__await__"):
        return result
    import asyncio
    from contextvars import copy_context

    async def to_coroutine() -> Any:
        return await result

    greenlets = hub()
    if greenlets:
        return greenlets.threadpool.apply(copy_context().run, (asyncio.run, to_coroutine()))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(to_coroutine())
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, to_coroutine()).result()
