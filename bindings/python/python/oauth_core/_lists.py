"""Options that are lists."""

from __future__ import annotations

from typing import Iterable, TypeVar

__all__ = ["listed"]

_Item = TypeVar("_Item")


def listed(name: str, given: Iterable[_Item]) -> list[_Item]:
    """The items. A single string is refused, since it would be iterated by character."""
    if isinstance(given, (str, bytes)):
        raise TypeError(f"{name} is a list, and not one string")
    return list(given)
