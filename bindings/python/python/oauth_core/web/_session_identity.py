"""``Person``: the identity of a user, read from their session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from .._native import Identity, Session

__all__ = ["Person"]


class Person:
    """The user of a session."""

    __slots__ = ("session",)

    session: Session
    """The session."""

    @property
    def identity(self) -> Identity:
        """The identity that the provider authenticated."""
        return self.session.identity

    @property
    def provider(self) -> str:
        """The ID by which the site knows the provider."""
        return self.identity.provider

    @property
    def issuer(self) -> str:
        """The provider's issuer."""
        return self.identity.issuer

    @property
    def subject(self) -> str:
        """The user's identifier at the issuer."""
        return self.identity.subject

    @property
    def sid(self) -> str | None:
        """The ID of the session at the provider (``sid``), if it sent one."""
        return self.identity.sid

    @property
    def claims(self) -> dict[str, Any]:
        """The other claims of the provider that the site keeps."""
        return self.identity.claims

    @property
    def name(self) -> str:
        """A display name: the first of ``name``, ``preferred_username`` and ``email``, else the subject."""
        claims = self.claims
        names = (claims.get(claim) for claim in ("name", "preferred_username", "email"))
        return next((name for name in names if isinstance(name, str) and name), self.subject)

    @property
    def email(self) -> str | None:
        """The email address. It may be unverified, and may be reassigned: never identify users by it."""
        email = self.claims.get("email")
        return email if isinstance(email, str) else None

    @property
    def acr(self) -> str | None:
        """The authentication context class (``acr``), if the provider states it."""
        return self.identity.acr

    @property
    def auth_time(self) -> datetime | None:
        """The time when the user authenticated, in UTC, if the provider states it."""
        return self.identity.auth_time

    @property
    def tenant(self) -> str | None:
        """The tenant of the provider, if the site has tenants."""
        return self.session.tenant

    @property
    def local(self) -> dict[str, Any]:
        """The data that the application added when it admitted the user."""
        return self.session.local

    @property
    def scope(self) -> list[str]:
        """The granted scope."""
        return self.session.scope

    @property
    def started_at(self) -> datetime:
        """The start of the session, in UTC."""
        return self.session.started_at

    @property
    def until(self) -> datetime:
        """The end of the session, in UTC."""
        return self.session.until
