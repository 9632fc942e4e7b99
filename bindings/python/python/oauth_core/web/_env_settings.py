"""The settings of a site, from environment variables."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping, Sequence

from .. import stores
from .._client import Client
from .._configured import create_client
from .._native import ClientSettings, Provider, discover, store_url
from ..errors import MisuseError, misuse

_OPEN: dict[str, Callable[[str], stores.Store]] = {
    "file": stores.FileStore,
    "memory": lambda _: stores.MemoryStore(),
    "postgres": stores.PostgresStore,
    "redis": stores.RedisStore,
    "sqlite": stores.SqliteStore,
}


_OF_PROVIDER = ("scope", "extra", "response_mode", "identity", "userinfo", "logout_max_age_without_expiry")


def settings(environ: Mapping[str, str] | None, given: dict[str, Any]) -> dict[str, Any]:
    """The given settings, and the rest from the environment. The error names all that are missing. Nothing is sent."""
    variables = os.environ if environ is None else environ
    found = dict(given)
    asked: dict[str, Any] = {name: found.pop(name) for name in _OF_PROVIDER if name in found}
    own = {"base_url": "OAUTH_BASE_URL", "key": "OAUTH_KEY"}
    wanted = {argument: name for argument, name in own.items() if found.get(argument) is None}
    missing = [] if found.get("providers") is not None else ClientSettings.missing_from_env(environ)
    missing += [name for name in wanted.values() if not variables.get(name)]
    if missing:
        text = f"a required environment variable is not set: {', '.join(missing)}"
        raise misuse("environment.missing", text)
    if "base_url" in wanted:
        found["base_url"] = variables["OAUTH_BASE_URL"]
    if "key" in wanted:
        found["key"] = variables["OAUTH_KEY"]
    # The current key, and former keys, which still open cookies and records.
    if isinstance(found["key"], str) and found.get("old_keys") is None:
        found["key"], *found["old_keys"] = found["key"].replace(",", " ").split() or [""]
    transport = variables.get("OAUTH_TRANSPORT")
    if found.get("transport") is None and transport:
        if transport not in ("https", "loopback_http"):
            raise misuse("web.setup", "OAUTH_TRANSPORT: https or loopback_http")
        found["transport"] = transport
    userinfo = variables.get("OAUTH_USERINFO")
    if asked.get("userinfo") is None and userinfo:
        if userinfo not in ("never", "when_missing"):
            raise misuse("web.setup", "OAUTH_USERINFO: never or when_missing")
        asked["userinfo"] = userinfo
    if found.get("providers") is None:
        line: dict[str, Any] = {name: found[name] for name in ("transport", "network") if name in found}
        found["providers"] = [provider(environ, line, asked)]
    url = variables.get("OAUTH_STORE")
    if found.get("store") is None and url:
        found["store"] = store(url, found["key"], found.get("old_keys") or ())
    return found


def provider(environ: Mapping[str, str] | None, line: dict[str, Any], asked: dict[str, Any]) -> Provider:
    """The provider of the environment. If its metadata must be fetched, that happens at the first sign-in."""
    client = ClientSettings.from_env(environ)
    try:
        known, issuer = client.server(line.get("transport", "https"))
    except MisuseError as error:
        raise _issuer_error(error) from error
    if asked.get("identity") is None:
        asked = {**asked, **_identity(client, asked.get("scope"))}
    options = {name: value for name, value in line.items() if name == "network" and value is not None}

    def find() -> Client:
        server = known or discover(issuer, transport=line.get("transport", "https"), **options)
        return create_client(Client, client, server, options)

    if known is not None:
        return Provider(find(), **asked)
    return Provider(find, registered=(issuer, client.arguments()[0]), **asked)


def _identity(client: ClientSettings, scope: Any) -> dict[str, Any]:
    """Where a provider without OpenID Connect says who a person is, as its preset knows, and the scope for that."""
    names = [] if scope is None else [scope] if isinstance(scope, str) else list(scope)
    found = client.identity(" ".join(names))
    if found is None:
        return {} if scope is None else {"scope": names}
    url, subject, claims, its_scope = found
    identity = {"url": url, "subject": subject, "claims": dict(claims)}
    return {"identity": identity, "scope": its_scope if scope is None else names}


def store(url: str, key: Any, old_keys: Sequence[Any]) -> stores.Store:
    """The store at this URL, sealed with the keys of cookies."""
    try:
        kind, place = store_url(url)
    except MisuseError as error:
        # The URL may hold a password.
        kinds = _message_without_code(error).partition("not the URL of a store: ")[2]
        raise misuse("web.setup", f"OAUTH_STORE is not the URL of a store: {kinds}".rstrip(": ")) from error
    sealing = _checked_key(key, "OAUTH_KEY")
    return stores.SealedStore(_OPEN[kind](place), sealing, old=[_checked_key(old, "OAUTH_KEY") for old in old_keys])


def _checked_key(key: Any, variable: str) -> Any:
    """A key, or an error that names the variable with the invalid one."""
    try:
        return key if isinstance(key, stores.SealingKey) else stores.SealingKey(key)
    except MisuseError as error:
        raise misuse(error.code, f"{variable}: {_message_without_code(error)}") from error


def _issuer_error(error: MisuseError) -> MisuseError:
    text = f"OAUTH_ISSUER: {_message_without_code(error)}"
    if error.code == "issuer.not_https":
        text += '; OAUTH_TRANSPORT=loopback_http, or transport="loopback_http", is for tests on this machine'
    return misuse(error.code, text)


def _message_without_code(error: MisuseError) -> str:
    """The message of an error, without its code."""
    return str(error).rsplit(" [", 1)[0]
