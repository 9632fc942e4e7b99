"""The settings of a site, out of environment variables."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping

from .. import stores
from .._client import Client
from .._native import Provider
from ..errors import Misuse

# What a URL begins with, and who takes the rest of it.
_PATHS: dict[str, Callable[[str], stores.Store]] = {"file": stores.FileStore, "sqlite": stores.SqliteStore}
_SERVERS: dict[str, Callable[[str], stores.Store]] = {
    "redis": stores.RedisStore,
    "rediss": stores.RedisStore,
    "postgres": stores.PostgresStore,
    "postgresql": stores.PostgresStore,
}


def settings(environ: Mapping[str, str] | None, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, and the rest out of the environment: whatever is missing is named."""
    variables = os.environ if environ is None else environ
    made = dict(given)
    scope, extra = made.pop("scope", None), made.pop("extra", None)
    # They are of the cheap sort: before anything is asked of the provider.
    for name, variable in (("base_url", "OAUTH_BASE_URL"), ("key", "OAUTH_KEY")):
        if made.get(name) is None:
            made[name] = variables.get(variable) or _missing(variable)
    # The current one, and those before it that still open what they sealed.
    if isinstance(made["key"], str) and made.get("old_keys") is None:
        made["key"], *made["old_keys"] = made["key"].replace(",", " ").split() or [""]
    url = variables.get("OAUTH_STORE")
    if made.get("store") is None and url:
        made["store"] = store(url)
    if made.get("providers") is None:
        line = {name: made[name] for name in ("transport", "network") if name in made}
        client = Client.from_env(environ=environ, **line)
        made["providers"] = [Provider(client, scope=scope, extra=extra)]
    return made


def store(url: str) -> stores.Store:
    """The store at this URL."""
    scheme, _, rest = url.partition(":")
    if scheme in _SERVERS:
        return _SERVERS[scheme](url)
    if scheme in _PATHS:
        return _PATHS[scheme](rest.removeprefix("//"))
    # The URL may hold a password.
    known = ", ".join([*_SERVERS, *_PATHS])
    raise Misuse(f"OAUTH_STORE: a URL of one of {known}", code="misuse.setup")


def _missing(variable: str) -> str:
    raise Misuse(f"an environment variable that is needed is not set: {variable}", code="environment.missing")
