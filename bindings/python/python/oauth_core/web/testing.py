"""``sign_in``: signs a user in for a test, without a provider.

    site = Site(app, providers=..., base_url="http://localhost", key=testing.KEY, transport="loopback_http")
    testing.sign_in(client, site, "ann", claims={"name": "Ann"})

``client`` is a test client of Starlette and FastAPI, Flask or Django, or an ``httpx.Client``. The key is public: a site
whose ``base_url`` is not on a loopback address refuses it. The session is like a real one: ``admit`` is called, and the
site keeps only its usual claims. The client's requests contain the header field of same-origin requests, so that a POST
is not refused as cross-site.
"""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Mapping, TypeVar

from .._native import testing_key

if TYPE_CHECKING:
    from ._site import Site

__all__ = ["KEY", "SAME_ORIGIN", "cookies", "sign_in"]

_Client = TypeVar("_Client")

KEY = testing_key()

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
"""The header field that browsers send with requests of the site's own pages, and that other sites cannot send."""


def cookies(
    site: Site,
    subject: str,
    *,
    claims: Mapping[str, Any] | None = None,
    acr: str | None = None,
    auth_time: int | None = None,
    sid: str | None = None,
    provider: str | None = None,
    issuer: str = "https://as.invalid",
    local: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """The cookies of a user who has just signed in: names and values. There are no tokens.

    ``claims`` are those of the provider, ``acr`` is the authentication context class and ``auth_time`` (Unix time, in
    seconds) the time of authentication, ``sid`` the session there; ``provider`` is by default the first of the site.
    ``local`` replaces the result of ``admit``, which is then not called. ``web.setup`` unless the site's key is ``KEY``,
    ``web.not_admitted`` if ``admit`` refuses.

    Requests with unsafe methods also need ``SAME_ORIGIN``.
    """
    identity = {
        **({} if provider is None else {"provider": provider}),
        "issuer": issuer,
        "subject": subject,
        "sid": sid,
        "auth_time": auth_time,
        "acr": acr,
        "claims": dict(claims or {}),
    }
    reply = site.testing(identity, local)
    fields = [value.split(";", 1) for name, value in reply.headers if name == "set-cookie"]
    set_ = [pair for pair, attributes in fields if "max-age=0" not in attributes.lower().split("; ")]
    return dict(pair.split("=", 1) for pair in set_)


def sign_in(client: _Client, site: Site, subject: str, **identity: Any) -> _Client:
    """Adds ``cookies()`` and ``SAME_ORIGIN`` to a test client, as the user's browser would, and returns it."""
    test_client: Any = client
    jar = getattr(test_client, "cookies", None)
    for name, value in cookies(site, subject, **identity).items():
        if isinstance(jar, SimpleCookie):  # Django
            jar[name] = value
        elif jar is not None:  # httpx, Starlette
            jar.set(name, value)
        elif hasattr(test_client, "set_cookie"):  # Flask
            test_client.set_cookie(name, value)
        else:
            raise TypeError("unknown kind of test client: set the result of cookies() on it yourself")
    for name, value in SAME_ORIGIN.items():
        variable = f"HTTP_{name.upper().replace('-', '_')}"
        if isinstance(jar, SimpleCookie):  # Django
            test_client.defaults[variable] = value
        elif jar is not None:
            test_client.headers.setdefault(name, value)
        else:
            test_client.environ_base[variable] = value
    return client
