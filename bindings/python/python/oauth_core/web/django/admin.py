"""The admin page of people: their identities at providers, and their users, read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from .models import Person

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Person]
else:
    Admin = admin.ModelAdmin


@admin.register(Person)
class PersonAdmin(Admin):
    """People who have signed in."""

    list_display = ("name", "user", "issuer", "subject")
    list_select_related = ("user",)
    search_fields = ("subject", "issuer")
    readonly_fields = ("issuer", "subject", "user")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """People are created when they sign in."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Anyone who could change a person could sign in as a different user."""
        return False
