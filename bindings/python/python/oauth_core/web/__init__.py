"""Sign-in for web applications: callback, cookies, sessions, CSRF checks, sign-out and fresh tokens.

``fastapi`` (and Starlette), ``flask`` and ``django`` are for those frameworks, ``asgi`` and ``wsgi`` for all others. They
only pass on requests and responses; all behave the same, also in other languages.
"""

from __future__ import annotations

from .._native import ProviderQuery, Identity, Problem, Provider, Reply, Session
from ._site import Site
from ._types import Need, Refuse, Request
from ._user import User

__all__ = [
    "ProviderQuery",
    "Identity",
    "Need",
    "Problem",
    "Provider",
    "Refuse",
    "Reply",
    "Request",
    "Session",
    "Site",
    "User",
]
