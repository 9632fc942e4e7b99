"""The settings of a site, out of environment variables."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping, Sequence

from .. import stores
from .._client import Client
from .._native import Provider, store_url
from ..errors import Misuse

_OPEN: dict[str, Callable[[str], stores.Store]] = {
    "file": stores.FileStore,
    "memory": lambda _: stores.Memory(),
    "postgres": stores.PostgresStore,
    "redis": stores.RedisStore,
    "sqlite": stores.SqliteStore,
}


def settings(environ: Mapping[str, str] | None, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, and the rest out of the environment: whatever is missing is named."""
    variables = os.environ if environ is None else environ
    made = dict(given)
    scope, extra = made.pop("scope", None), made.pop("extra", None)
    # They are of the cheap sort: before anything is asked of the provider.
    if made.get("base_url") is None:
        made["base_url"] = variables.get("OAUTH_BASE_URL") or _missing("OAUTH_BASE_URL")
    if made.get("key") is None:
        made["key"] = variables.get("OAUTH_KEY") or _missing("OAUTH_KEY")
    # The current one, and those before it that still open what they sealed.
    if isinstance(made["key"], str) and made.get("old_keys") is None:
        made["key"], *made["old_keys"] = made["key"].replace(",", " ").split() or [""]
    url = variables.get("OAUTH_STORE")
    if made.get("store") is None and url:
        made["store"] = store(url, made["key"], made.get("old_keys") or ())
    if made.get("providers") is None:
        line = {name: made[name] for name in ("transport", "network") if name in made}
        client = Client.from_env(environ=environ, **line)
        made["providers"] = [Provider(client, scope=scope, extra=extra)]
    return made


def store(url: str, key: Any, old_keys: Sequence[Any]) -> stores.Store:
    """The store at this URL, sealed as cookies are."""
    try:
        kind, place = store_url(url)
    except Misuse as error:
        # The URL may hold a password.
        raise Misuse("OAUTH_STORE is not the URL of a store", code=error.code) from error
    return stores.Sealed(_OPEN[kind](place), key, old=list(old_keys))


def _missing(variable: str) -> str:
    raise Misuse(f"an environment variable that is needed is not set: {variable}", code="environment.missing")
