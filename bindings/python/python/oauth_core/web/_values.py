"""Converts settings to JSON for the native half. Their names and types are in _settings.py (generated)."""

from __future__ import annotations

import json
import sys
from typing import Any, Callable, Mapping

from .._lists import listed

__all__ = ["settings_json"]


def _urls(_: str, value: Any) -> Any:
    return value if isinstance(value, str) else list(value)


def _seconds(_: str, value: Any) -> Any:
    # JSON cannot represent an infinite time.
    return min(value, sys.float_info.max)


def _apis(_: str, value: Any) -> Any:
    return {name: _api(api) for name, api in value.items()}


def _api(value: Any) -> Any:
    if isinstance(value, str):
        return value
    url, methods = value
    return {"url": url, "methods": listed("methods", methods)}


def _document(_: str, value: Any) -> Any:
    return value if isinstance(value, str) else dict(value)


_CROSSING: Mapping[str, Callable[[str, Any], Any]] = {
    "apis": _apis,
    "document": _document,
    "span": _seconds,
    "texts": listed,
    "urls": _urls,
}


def settings_json(values: Mapping[str, Any], shapes: Mapping[str, str]) -> str:
    """The given settings as JSON, each converted by its shape."""
    settings = {name: value for name, value in values.items() if value is not None}
    for name in settings.keys() & shapes.keys():
        settings[name] = _CROSSING[shapes[name]](name, settings[name])
    return json.dumps(settings, allow_nan=False)
