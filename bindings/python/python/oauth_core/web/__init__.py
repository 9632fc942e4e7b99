"""Sign-in for web applications: callback, cookies, sessions, CSRF checks, sign-out and fresh tokens.

``fastapi`` (and Starlette), ``flask`` and ``django`` are for those frameworks; ``asgi`` and ``wsgi`` for every other. They
carry requests and responses; what is done with them is the same for all, and in other languages.
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
