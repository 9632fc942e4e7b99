"""The type of permissions in detail (RFC 9396)."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["AuthorizationDetail"]


class _Typed(TypedDict):
    type: str
    """Which permission this is, and so what its other members are."""


class AuthorizationDetail(_Typed, total=False):
    """A permission (RFC 9396 section 2): its type, and members that several types have in common (section 2.2).

    What a type itself defines is yours to declare, in a class of its own:

        class Payment(AuthorizationDetail, total=False):
            amount: str

    Where permissions are wanted, any mapping with a ``type`` will do, such as a plain dict.
    """

    locations: list[str]
    """Where the permission holds: URIs of resource servers."""
    actions: list[str]
    """What may be done."""
    datatypes: list[str]
    """With what kinds of data."""
    identifier: str
    """With which resource."""
    privileges: list[str]
    """With which privileges."""
