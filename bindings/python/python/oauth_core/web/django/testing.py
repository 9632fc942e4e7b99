"""``sign_in``: signs a person in for a test, as a Django user.

The test settings need the public key, and a base URL on a loopback address; the test client may send any
``Host``:

    from oauth_core.web.testing import KEY

    OAUTH = {**OAUTH, "key": KEY, "base_url": "http://localhost", "transport": "loopback_http"}

In a test:

    from oauth_core.web.django.testing import sign_in

    ann = sign_in(self.client, "ann", claims={"given_name": "Ann"})
    page = self.client.get("/me")
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.http import HttpRequest
from django.test import Client

from ..testing import KEY
from ..testing import sign_in as _sign_in
from . import people
from .functions import SERVED, at_once
from .site import site

__all__ = ["KEY", "sign_in"]


def sign_in(client: Client, subject: str, *, issuer: str = "https://as.invalid", **identity: Any) -> Any:
    """Signs this person in with the test client, and creates their user if there is none; returns the user.

    The other arguments are those of ``oauth_core.web.testing.cookies``. ``admit`` and Django's signals are called as at a
    real sign-in, unless ``local`` is given.
    """
    oauth_site, _ = site()
    served = SERVED.set((HttpRequest(), at_once))
    try:
        _sign_in(client, oauth_site, subject, issuer=issuer, **identity)
    finally:
        SERVED.reset(served)
    claims: dict[str, Any] = identity.get("claims") or {}
    return people.get_or_create_person(SimpleNamespace(issuer=issuer, subject=subject, claims=claims)).user
