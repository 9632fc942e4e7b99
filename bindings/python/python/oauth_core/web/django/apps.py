"""The configuration of the Django application."""

from __future__ import annotations

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
        from .checks import order

        people.connect_signals()
        checks.register(order)
