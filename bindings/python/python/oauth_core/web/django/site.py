"""The site of this process, and its hooks for Django's users and sessions."""

from __future__ import annotations

import functools
from typing import Any

from django.conf import settings

from ..._native import Identity
from .._site import Site
from .functions import SERVED, as_sync, hook_of, with_database


@functools.cache
def site() -> tuple[Site, Any]:
    """The site of this process, from Django's settings and the environment."""
    from . import people

    options = dict(getattr(settings, "OAUTH", {}))
    access = options.pop("access", "open")
    hooks = {name: hook_of(options.pop(name, None)) for name in ("admit", "user", "signed_out", "provider", "error_page")}
    admit, user, signed_out = (as_sync(hooks[name]) for name in ("admit", "user", "signed_out"))
    oauth_site = Site.from_env(**options)

    @oauth_site.admit
    def sign_in(identity: Identity) -> Any:
        request, call = SERVED.get()
        return call(people.sign_in)(request, identity, admit, user)

    @oauth_site.signed_out
    def sign_out(identity: Identity) -> Any:
        request, call = SERVED.get()
        return call(people.sign_out)(request, identity, signed_out)

    if hooks["provider"] is not None:
        oauth_site.provider(with_database(hooks["provider"]))
    if hooks["error_page"] is not None:
        oauth_site.error_page(with_database(hooks["error_page"]))
    return oauth_site, access
