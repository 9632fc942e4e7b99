"""Converts a WSGI environment to a ``Request``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from .._native import MAX_FORM
from ._types import Request

if TYPE_CHECKING:
    from ._site import Site

__all__ = ["Environ", "read_body", "headers_from", "request_from", "target_from"]

Environ = dict[str, Any]


def request_from(site: Site, environ: Environ) -> Request:
    """The request of an environment."""
    method, target = environ["REQUEST_METHOD"], target_from(environ)
    form = read_body(environ, MAX_FORM) if site.reads_form(method, target) else None
    return Request(method, environ.get("HTTP_HOST", ""), target, headers_from(environ), form)


def headers_from(environ: Environ) -> list[tuple[str, str]]:
    """The header fields of an environment."""
    fields = ((name[5:], value) for name, value in environ.items() if name.startswith("HTTP_"))
    return [(name.replace("_", "-").lower(), value) for name, value in fields]


def target_from(environ: Environ) -> str:
    """Path and query as the browser shows them: WSGI decodes the path, but most servers also pass the original."""
    root = quote(environ.get("SCRIPT_NAME", "").rstrip("/"), encoding="latin-1")
    raw: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw is None:
        path, query = quote(environ.get("PATH_INFO", ""), encoding="latin-1"), environ.get("QUERY_STRING", "")
        return f"{root}{path}?{query}" if query else root + path
    if not raw.startswith("/"):
        # Requests to a proxy contain an absolute URL (RFC 9112 section 3.2.2).
        parts = urlsplit(raw)
        raw = f"{parts.path}?{parts.query}" if parts.query else parts.path
    path = raw.partition("?")[0]
    return raw if f"{path}/".startswith(f"{root}/") else root + raw


def read_body(environ: Environ, limit: int) -> bytes:
    """The body, of which at most ``limit`` + 1 bytes are read."""
    length = environ.get("CONTENT_LENGTH") or (limit + 1 if environ.get("wsgi.input_terminated") else 0)
    max_bytes = min(int(length), limit + 1)
    body = bytearray()
    while len(body) < max_bytes:
        more = environ["wsgi.input"].read(max_bytes - len(body))
        if not more:
            break
        body += more
    return bytes(body)
