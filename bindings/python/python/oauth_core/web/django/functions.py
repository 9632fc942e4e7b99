"""The functions of an application: hooks, which may use the database, and views."""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextvars import ContextVar
from typing import Any, Callable

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.utils.module_loading import import_string

# The current request, and the wrapper with which functions that may use the database are called during it.
SERVED: ContextVar[tuple[HttpRequest, Callable[..., Any]]] = ContextVar("oauth_core_served")


def at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The wrapper outside of coroutines, where functions may use the database directly."""
    return function


def hook_of(setting: Any) -> Any:
    """A hook, from a function or its dotted path."""
    return import_string(setting) if isinstance(setting, str) else setting


def as_sync(hook: Any) -> Any:
    """A hook as a synchronous function, for calls outside of coroutines."""
    return async_to_sync(hook) if iscoroutinefunction(hook) else hook  # pyright: ignore[reportDeprecated]


def with_database(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that may use the database, and may also be called outside of a visit, for a session."""
    if iscoroutinefunction(hook):  # pyright: ignore[reportDeprecated]
        return hook

    @functools.wraps(hook)
    def called(argument: Any) -> Any:
        _, call = SERVED.get((None, sync_to_async))
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            call = at_once
        return call(hook)(argument)

    return called


def is_awaited(view: Callable[..., Any]) -> bool:
    """Whether Django awaits the result of the view."""
    if iscoroutinefunction(view):  # pyright: ignore[reportDeprecated]
        return True
    # ``method_decorator`` passes ``dispatch``, which is not a coroutine function even if the handlers are.
    bound: Any = inspect.unwrap(view, stop=lambda one: isinstance(one, functools.partial))
    method = bound.func if isinstance(bound, functools.partial) else bound
    is_dispatch = getattr(method, "__name__", None) == "dispatch"
    return is_dispatch and bool(getattr(getattr(method, "__self__", None), "view_is_async", False))
