"""The site of this process, and its hooks for Django's users and sessions."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import Any, Callable

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


def is_anonymous(request: Any) -> bool:
    """Whether the person whose session this is, is not a user: one that is not active, or has been deleted."""
    return bool(request.user.is_anonymous)


@functools.cache
def site() -> tuple[Site, Any]:
    """The site of this process, from Django's settings and the environment."""
    from . import people

    given = dict(getattr(settings, "OAUTH", {}))
    access = given.pop("access", "open")
    hooks = [given.pop(name, None) for name in ("admit", "user", "error_page")]
    admit, user, error_page = (import_string(hook) if isinstance(hook, str) else hook for hook in hooks)
    its = Site.from_env(**given)

    @its.admit
    def sign_in(identity: Identity) -> Any:
        request, call = SERVED.get()
        return call(people.sign_in)(request, identity, admit, user)

    @its.signed_out
    def sign_out(identity: Identity) -> Any:
        request, call = SERVED.get()
        return call(people.sign_out)(request, identity)

    if error_page is not None:
        its.error_page(error_page)
    return its, access
