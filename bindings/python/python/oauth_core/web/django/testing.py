"""Somebody is signed in for a test, as a user of Django's.

    OAUTH = {"key": testing.KEY, "base_url": "http://testserver", ...}  # in the settings of the tests

    ann = sign_in(self.client, "ann", claims={"given_name": "Ann"})
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.test import Client

from ..testing import KEY
from ..testing import sign_in as _sign_in
from . import people
from .site import site

__all__ = ["KEY", "sign_in"]


def sign_in(client: Client, subject: str, *, issuer: str = "https://as.invalid", **identity: Any) -> Any:
    """Has the client come as this person, whose user is made if there is none; it is given back.

    The rest is that of ``oauth_core.web.testing.cookies``. Neither ``admit`` nor signals are called.
    """
    its, _ = site()
    _sign_in(client, its, subject, issuer=issuer, **identity)
    claims: dict[str, Any] = identity.get("claims") or {}
    return people.made(SimpleNamespace(issuer=issuer, subject=subject, claims=claims)).user
