"""The type of one member of ``authorization_details`` (RFC 9396)."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["AuthorizationDetail"]


class _Typed(TypedDict):
    type: str
    """The type of the permission, which defines its other members."""


class AuthorizationDetail(_Typed, total=False):
    """A permission (RFC 9396 section 2): its type, and members that several types have in common (section 2.2).

    Declare the members that your type defines in a class of its own:

        class Payment(AuthorizationDetail, total=False):
            amount: str

    Arguments accept any mapping with a ``type``, such as a plain dict.
    """

    locations: list[str]
    """The resource servers, as URIs."""
    actions: list[str]
    """The permitted actions."""
    datatypes: list[str]
    """The kinds of data."""
    identifier: str
    """The resource."""
    privileges: list[str]
    """The privileges."""
