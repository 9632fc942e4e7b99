"""``Site.from_env``: the settings of a site from environment variables, with mistakes reported at startup."""

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


_PROVIDER_OPTIONS = ("scope", "extra", "response_mode", "identity", "userinfo", "logout_max_age_without_expiry")


def settings(environ: Mapping[str, str] | None, overrides: dict[str, Any]) -> dict[str, Any]:
    """The given settings, and the rest from the environment. One error names all missing variables. Sends nothing."""
    variables = os.environ if environ is None else environ
    found = dict(overrides)
    provider_options: dict[str, Any] = {name: found.pop(name) for name in _PROVIDER_OPTIONS if name in found}
    required = {"base_url": "OAUTH_BASE_URL", "key": "OAUTH_KEY"}
    not_overridden = {argument: name for argument, name in required.items() if found.get(argument) is None}
    missing = [] if found.get("providers") is not None else ClientSettings.missing_from_env(environ)
    missing += [name for name in not_overridden.values() if not variables.get(name)]
    if missing:
        text = f"a required environment variable is not set: {', '.join(missing)}"
        raise misuse("environment.missing", text)
    if "base_url" in not_overridden:
        found["base_url"] = variables["OAUTH_BASE_URL"]
    if "key" in not_overridden:
        found["key"] = variables["OAUTH_KEY"]
    # The current key, and former keys, which still open cookies and records.
    if isinstance(found["key"], str) and found.get("old_keys") is None:
        found["key"], *found["old_keys"] = found["key"].replace(",", " ").split() or [""]
    transport = variables.get("OAUTH_TRANSPORT")
    if found.get("transport") is None and transport:
        if transport not in ("https", "loopback_http"):
            raise misuse("web.setup", "OAUTH_TRANSPORT must be https or loopback_http")
        found["transport"] = transport
    userinfo = variables.get("OAUTH_USERINFO")
    if provider_options.get("userinfo") is None and userinfo:
        if userinfo not in ("never", "when_missing"):
            raise misuse("web.setup", "OAUTH_USERINFO must be never or when_missing")
        provider_options["userinfo"] = userinfo
    if found.get("providers") is None:
        connection_settings: dict[str, Any] = {name: found[name] for name in ("transport", "network") if name in found}
        found["providers"] = [provider(environ, connection_settings, provider_options)]
    url = variables.get("OAUTH_STORE")
    if found.get("store") is None and url:
        found["store"] = store(url, found["key"], found.get("old_keys") or ())
    return found


def provider(environ: Mapping[str, str] | None, connection_settings: dict[str, Any], options: dict[str, Any]) -> Provider:
    """The provider from the environment. Its metadata is fetched at the first sign-in, if necessary."""
    client = ClientSettings.from_env(environ)
    try:
        native_server, issuer = client.server(connection_settings.get("transport", "https"))
    except MisuseError as error:
        raise _issuer_error(error) from error
    if options.get("identity") is None:
        options = {**options, **_identity(client, options.get("scope"))}
    network = {name: value for name, value in connection_settings.items() if name == "network" and value is not None}

    def connect() -> Client:
        server = native_server or discover(issuer, transport=connection_settings.get("transport", "https"), **network)
        return create_client(Client, client, server, network)

    if native_server is not None:
        return Provider(connect(), **options)
    return Provider(connect, registered=(issuer, client.arguments()[0]), **options)


def _identity(client: ClientSettings, scope: Any) -> dict[str, Any]:
    """The identity endpoint of a preset without OpenID Connect, and its scope."""
    names = [] if scope is None else [scope] if isinstance(scope, str) else list(scope)
    found = client.identity(" ".join(names))
    if found is None:
        return {} if scope is None else {"scope": names}
    url, subject, claims, preset_scope = found
    identity = {"url": url, "subject": subject, "claims": dict(claims)}
    return {"identity": identity, "scope": preset_scope if scope is None else names}


def store(url: str, key: Any, old_keys: Sequence[Any]) -> stores.Store:
    """The store at this URL, sealed with the keys of the site."""
    try:
        kind, argument = store_url(url)
    except MisuseError as error:
        # The URL may contain a password.
        kinds = _message_without_code(error).partition("not the URL of a store: ")[2]
        raise misuse("web.setup", f"OAUTH_STORE is not the URL of a store: {kinds}".rstrip(": ")) from error
    sealing = _checked_key(key, "OAUTH_KEY")
    return stores.SealedStore(_OPEN[kind](argument), sealing, old=[_checked_key(old, "OAUTH_KEY") for old in old_keys])


def _checked_key(key: Any, variable: str) -> Any:
    """Parses a key. The error names the variable."""
    try:
        return key if isinstance(key, stores.SealingKey) else stores.SealingKey(key)
    except MisuseError as error:
        raise misuse(error.code, f"{variable}: {_message_without_code(error)}") from error


def _issuer_error(error: MisuseError) -> MisuseError:
    text = f"OAUTH_ISSUER: {_message_without_code(error)}"
    if error.code == "issuer.not_https":
        text += '; for tests on this machine, set OAUTH_TRANSPORT=loopback_http or transport="loopback_http"'
    return misuse(error.code, text)


def _message_without_code(error: MisuseError) -> str:
    """The message of an error, without its code."""
    return str(error).rsplit(" [", 1)[0]
