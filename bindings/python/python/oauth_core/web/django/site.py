"""The site of this process, and its hooks for Django's users and sessions."""

from __future__ import annotations

import asyncio
import functools
from contextvars import ContextVar
from typing import Any, Callable

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string

from ..._native import Identity
from .._site import Site

# The current request, and how a function that may use the database is called during it.
SERVED: ContextVar[tuple[HttpRequest, Callable[..., Any]]] = ContextVar("oauth_core_served")


def at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function unchanged: outside of coroutines it may use the database directly."""
    return function


@functools.cache
def site() -> tuple[Site, Any]:
    """The site of this process, from Django's settings and the environment."""
    from . import people

    given = dict(getattr(settings, "OAUTH", {}))
    access = given.pop("access", "open")
    hooks = {name: _hook(given.pop(name, None)) for name in ("admit", "user", "signed_out", "provider", "error_page")}
    admit, user, told = (_waited_for(hooks[name]) for name in ("admit", "user", "signed_out"))
    its = Site.from_env(**given)

    @its.admit
    def sign_in(identity: Identity) -> Any:
        request, call = SERVED.get()
        return call(people.sign_in)(request, identity, admit, user)

    @its.signed_out
    def sign_out(identity: Identity) -> Any:
        request, call = SERVED.get()
        return call(people.sign_out)(request, identity, told)

    if hooks["provider"] is not None:
        its.provider(_called(hooks["provider"]))
    if hooks["error_page"] is not None:
        its.error_page(_called(hooks["error_page"]))
    return its, access


def _hook(given: Any) -> Any:
    return import_string(given) if isinstance(given, str) else given


def _waited_for(hook: Any) -> Any:
    """A hook that is called where no coroutine is running."""
    return async_to_sync(hook) if iscoroutinefunction(hook) else hook  # pyright: ignore[reportDeprecated]


def _called(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that may use the database, called wherever the site needs it: also for a session, outside of a visit."""
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
