"""Type errors name the argument and the expected type; coroutines and errors have useful names."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from conftest import CALLBACK, Twin, server_at

import oauth_core

SERVER = server_at("https://as.example")


def client() -> Any:
    return oauth_core.Client(SERVER, client_id="id", client_secret="secret")


class Url:
    """A URL object, such as Starlette's."""

    def __str__(self) -> str:
        return CALLBACK + "?code=c&state=s"


# Without types, which refuse these calls.
ANY: Any = oauth_core

WRONG: dict[str, tuple[str, str, Callable[[], object]]] = {
    "discover": ("issuer", "str", lambda: ANY.discover(None)),
    "discover_exchange": ("issuer", "str", lambda: ANY.discover_exchange(None)),
    "provider": ("name", "str", lambda: ANY.provider(None)),
    "from_metadata": ("issuer", "str", lambda: ANY.Server.from_metadata(None, {})),
    "server": ("server", "Server", lambda: ANY.Client("https://as.example", client_id="x")),
    "client_id": ("client_id", "str", lambda: ANY.Client(SERVER, client_id=5)),
    "client_secret": ("client_secret", "str", lambda: ANY.Client(SERVER, client_id="x", client_secret=5)),
    "redeem": ("callback_url", "str", lambda: client().redeem(client().authorize(redirect_uri=CALLBACK), Url())),
    "verifier": ("audience", "string", lambda: ANY.AccessTokenVerifier(SERVER, audience=None)),
    "verify": ("token", "str", lambda: ANY.AccessTokenVerifier(SERVER, audience="x").verify(5)),
    "get": ("url", "str", lambda: client().client_credentials().get(None)),
    "method": ("method", "str", lambda: client().client_credentials().request(None, "https://api.example")),
    "origins": ("origins", "list", lambda: client().client_credentials().get("https://api.example", origins="x")),
    "revoke": ("token", "string", lambda: client().revoke(token=None) or client().revoke(token=5)),
    "connection": ("url", "str", lambda: ANY.ResourceConnection(None)),
    "deserialize": ("text", "str", lambda: ANY.Tokens.deserialize(5)),
}


@pytest.mark.parametrize("entry", WRONG)
def test_a_type_error_names_the_argument(entry: str) -> None:
    name, expected, call = WRONG[entry]
    with pytest.raises(TypeError) as caught:
        call()
    error = caught.value
    assert str(error).startswith(f"argument '{name}': ") and expected in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is TypeError and str(again) == str(error)


def never_awaited(make: Callable[[], object]) -> str:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        make()
    return str(seen[0].message)


def test_a_coroutine_is_named_after_its_method() -> None:
    source = client().client_credentials()
    assert "'GrantSource.atoken' was never awaited" in never_awaited(source.atoken)
    assert "'GrantSource.aget'" in never_awaited(lambda: source.aget("https://api.example", origins=["https://api.example"]))
    assert "'Client.arevoke'" in never_awaited(lambda: client().arevoke(token="x"))
    assert "'adiscover'" in never_awaited(lambda: oauth_core.adiscover("https://as.example"))
    verifier = oauth_core.AccessTokenVerifier(SERVER, audience="x")
    assert "Verifier.averify'" in never_awaited(lambda: verifier.averify("x"))


def test_the_error_of_a_response_contains_only_the_origin(generic: Twin, client: oauth_core.Client) -> None:
    source = client.client_credentials()
    response = asyncio.run(source.aget(f"{generic.base}/nowhere/s3cret", origins=[generic.base]))
    with pytest.raises(oauth_core.DeniedError) as caught:
        response.raise_for_status()
    assert caught.value.url == generic.base
    assert generic.base in str(caught.value) and "s3cret" not in str(caught.value)


def test_submodules_are_imported_on_first_use() -> None:
    """They are not loaded before they are used."""
    program = """
import sys, oauth_core
for name in ("httpx", "requests", "aiohttp", "stores", "drive", "web"):
    assert f"oauth_core.{name}" not in sys.modules, name
    assert getattr(oauth_core, name).__name__ == f"oauth_core.{name}"
assert oauth_core.errors.DeniedError and oauth_core.httpx.Auth and oauth_core.stores.MemoryStore()
assert not hasattr(oauth_core, "nothing")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
