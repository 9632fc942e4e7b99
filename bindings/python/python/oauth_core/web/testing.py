"""Signs a person in for a test, without a provider.

    site = Site(app, providers=..., base_url="http://localhost", key=testing.KEY, transport="loopback_http")
    testing.sign_in(client, site, "ann", claims={"name": "Ann"})

``client`` is a test client of Starlette and FastAPI, Flask or Django, or an ``httpx.Client``. The key is public: a site
whose ``base_url`` others could reach refuses it. The session is like a real one: ``admit`` is called, and only the
claims that the site keeps are kept. The client's requests say that a page of the site sends them, as browsers do, so
that a POST does not count as one from another site.
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
"""The header fields with which pages of the site send requests, and which other sites cannot send."""


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

    ``claims`` are those of the provider, ``acr`` is how and ``auth_time`` when (Unix time, in seconds) the person
    authenticated, ``sid`` the session there; ``provider`` is by default the first of the site. ``local`` is what
    ``admit`` would return, which is then not called. ``web.setup`` unless the site seals with ``KEY``,
    ``web.not_admitted`` if ``admit`` refuses.

    A request that changes something needs ``SAME_ORIGIN`` too: what a page of the site sends along.
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
    """Adds ``cookies()`` and ``SAME_ORIGIN`` to a test client, as the person's browser would, and returns it."""
    known: Any = client
    jar = getattr(known, "cookies", None)
    for name, value in cookies(site, subject, **identity).items():
        if isinstance(jar, SimpleCookie):  # Django
            jar[name] = value
        elif jar is not None:  # httpx, Starlette
            jar.set(name, value)
        elif hasattr(known, "set_cookie"):  # Flask
            known.set_cookie(name, value)
        else:
            raise TypeError("no client of a test that is known: give it what cookies() returns")
    for name, value in SAME_ORIGIN.items():
        variable = f"HTTP_{name.upper().replace('-', '_')}"
        if isinstance(jar, SimpleCookie):  # Django
            known.defaults[variable] = value
        elif jar is not None:
            known.headers.setdefault(name, value)
        else:
            known.environ_base[variable] = value
    return client
