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

# The current request, and the wrapper with which functions that may use the database are called during it.
SERVED: ContextVar[tuple[HttpRequest, Callable[..., Any]]] = ContextVar("oauth_core_served")


def at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The wrapper outside of coroutines, where functions may use the database directly."""
    return function


@functools.cache
def site() -> tuple[Site, Any]:
    """The site of this process, from Django's settings and the environment."""
    from . import people

    options = dict(getattr(settings, "OAUTH", {}))
    access = options.pop("access", "open")
    hooks = {name: _hook(options.pop(name, None)) for name in ("admit", "user", "signed_out", "provider", "error_page")}
    admit, user, signed_out = (_as_sync(hooks[name]) for name in ("admit", "user", "signed_out"))
    oauth_site = Site.from_env(**options)

    @oauth_site.admit
    def sign_in(identity: Identity) -> Any:
        request, call = SERVED.get()
        return call(people.sign_in)(request, identity, admit, user)

    @oauth_site.signed_out
    def sign_out(identity: Identity) -> Any:
        request, call = SERVED.get()
        return call(people.sign_out)(request, identity, signed_out)

    if hooks["provider"] is not None:
        oauth_site.provider(_with_database(hooks["provider"]))
    if hooks["error_page"] is not None:
        oauth_site.error_page(_with_database(hooks["error_page"]))
    return oauth_site, access


def _hook(setting: Any) -> Any:
    return import_string(setting) if isinstance(setting, str) else setting


def _as_sync(hook: Any) -> Any:
    """A hook as a synchronous function, for calls outside of coroutines."""
    return async_to_sync(hook) if iscoroutinefunction(hook) else hook  # pyright: ignore[reportDeprecated]


def _with_database(hook: Callable[..., Any]) -> Callable[..., Any]:
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
