"""The model that links a person's identity to a user."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


class Person(models.Model):
    """A person's identity at a provider. Email addresses are not compared: they may be unverified or reassigned."""

    issuer: models.CharField[str, str] = models.CharField(max_length=512)
    subject: models.CharField[str, str] = models.CharField(max_length=255)
    user: models.ForeignKey[Any, Any] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )

    class Meta:
        verbose_name_plural = "people"
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="oauth_core_person"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.issuer}"

    @property
    def name(self) -> str:
        """A display name: the full name of the user, otherwise the address or the subject."""
        user = self.user
        full = getattr(user, "get_full_name", str)()
        return full or getattr(user, "email", "") or self.subject
