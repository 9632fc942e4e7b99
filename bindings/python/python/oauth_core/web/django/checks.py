"""The system check of the middleware's position."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string


def order(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:
    """Checks that the middleware comes after Django's own for sessions and users."""
    wrong = position_error()
    return [checks.Error(wrong, id="oauth_core.E001")] if wrong else []


def position_error() -> str | None:
    """The error of the middleware's position in the settings, if it is wrong."""
    from django.contrib.auth.middleware import AuthenticationMiddleware
    from django.contrib.sessions.middleware import SessionMiddleware

    from .middleware import Middleware

    names: list[str] = list(settings.MIDDLEWARE)
    classes = [(name, import_string(name)) for name in names]
    ours = next((at for at, (_, one) in enumerate(classes) if _is_a(one, Middleware)), len(classes))
    needed = (SessionMiddleware, AuthenticationMiddleware)
    late = [name for name, one in classes[ours + 1 :] if any(_is_a(one, kind) for kind in needed)]
    if not late:
        return None
    return f"{names[ours]} must come after {' and '.join(late)} in MIDDLEWARE"


def _is_a(one: Any, kind: type) -> bool:
    return isinstance(one, type) and issubclass(one, kind)
