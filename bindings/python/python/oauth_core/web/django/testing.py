"""Signs somebody in for a test, as a Django user.

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
    """Signs this person in with the test client, and creates their user if there is none; returns the client.

    The rest is that of ``oauth_core.web.testing.cookies``. Neither ``admit`` nor signals are called.
    """
    its, _ = site()
    _sign_in(client, its, subject, issuer=issuer, **identity)
    claims: dict[str, Any] = identity.get("claims") or {}
    return people.made(SimpleNamespace(issuer=issuer, subject=subject, claims=claims)).user
