"""The application, as Django knows it."""

from __future__ import annotations

from django.apps import AppConfig


class OAuthCore(AppConfig):
    """People who sign in, and their users."""

    name = "oauth_core.web.django"
    label = "oauth_core"
    verbose_name = "Sign-in"
    default_auto_field = "django.db.models.BigAutoField"
