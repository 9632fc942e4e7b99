"""Changes the query of a request target, and nothing else of it."""

from __future__ import annotations

from urllib.parse import unquote_plus


def renamed_parameter(target: str, name: str, new_name: str) -> str:
    """A target whose parameter ``name`` has another name, unless one has that already. Like Django, takes the last if
    there are several, and drops the others."""
    path, mark, query = target.partition("?")
    pairs = [part.partition("=") for part in query.split("&")]
    names = [unquote_plus(name) for name, _, _ in pairs]
    if name not in names or new_name in names:
        return target
    last = len(names) - 1 - names[::-1].index(name)
    parts = [
        f"{new_name}={value}" if at == last else f"{given}{equals}{value}"
        for at, (given, equals, value) in enumerate(pairs)
        if at == last or names[at] != name
    ]
    return f"{path}{mark}{'&'.join(parts)}"
