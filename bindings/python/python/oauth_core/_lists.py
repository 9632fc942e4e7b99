"""Checks options that are lists."""

from __future__ import annotations

from typing import Iterable, TypeVar

__all__ = ["listed"]

_Item = TypeVar("_Item")


def listed(name: str, items: Iterable[_Item]) -> list[_Item]:
    """The items as a list. A single string is refused: it would be iterated by character."""
    if isinstance(items, (str, bytes)):
        raise TypeError(f"{name} must be a list, not a string")
    return list(items)
