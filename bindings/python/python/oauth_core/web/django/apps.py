"""The configuration of the Django application."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks


class OAuthCore(AppConfig):
    """People who sign in, and their users."""

    name = "oauth_core.web.django"
    label = "oauth_core"
    verbose_name = "Sign-in"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import people

        people.connect_signals()
        checks.register(order)


def order(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:
    """Checks that the middleware comes after Django's own for sessions and users."""
    from .middleware import position_error

    problem = position_error()
    return [checks.Error(problem, id="oauth_core.E001")] if problem else []
