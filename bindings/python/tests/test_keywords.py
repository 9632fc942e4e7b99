"""The errors for unknown keyword arguments name the nearest known one."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Twin, server_at

import oauth_core
from oauth_core import stores, web

SERVER = server_at("https://as.example")

# Without types, which refuse these calls.
ANY: Any = oauth_core


def own_client() -> Any:
    return oauth_core.Client(SERVER, client_id="id", client_secret="secret")


UNKNOWN: dict[str, tuple[str, Callable[[], object]]] = {
    "secrect": ("client_secret", lambda: ANY.Client(SERVER, client_id="id", secrect="s3cret")),
    "client_secert": ("client_secret", lambda: ANY.Client(SERVER, client_id="id", client_secert="s3cret")),
    "scopes": ("scope", lambda: own_client().source(scopes="read")),
    "scop": ("scope", lambda: own_client().client_credentials(scop="read")),
    "redirect_url": ("redirect_uri", lambda: own_client().authorize(redirect_url="https://app.example/")),
    "tokn": ("token", lambda: own_client().revoke(tokn="s3cret")),
    "token_typ_hint": ("token_type_hint", lambda: own_client().exchange.revoke(token="x", token_typ_hint="s3cret")),
    "subjekt": ("subject", lambda: asyncio.run(own_client().auserinfo(tokens=None, subjekt="ann"))),
    "tiemout": ("timeout", lambda: own_client().client_credentials().get("https://api.example", tiemout=1)),
    "transprot": ("transport", lambda: ANY.Server.from_metadata("https://as.example", {}, transprot="https")),
    "expires": ("expires_at", lambda: ANY.Tokens.bearer("s3cret", expires=1)),
    "orgins": ("origins", lambda: ANY.fixed_token("s3cret", orgins=["https://api.example"])),
    "issuers": ("issuer", lambda: ANY.discover(issuers="https://as.example")),
    "basis_url": ("base_url", lambda: web.Site(providers=[], basis_url="https://app.example", key="k")),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
}


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_the_error_for_an_unknown_argument_names_the_nearest_one(unknown: str) -> None:
    nearest, call = UNKNOWN[unknown]
    with pytest.raises(TypeError) as caught:
        call()
    text = str(caught.value)
    # Python itself says so from 3.13 on, for functions that are written in Python.
    assert text.endswith((f"got an unexpected keyword argument '{unknown}'; perhaps {nearest}", f"Did you mean '{nearest}'?"))
    assert "s3cret" not in text


def test_arguments_that_nothing_resembles_are_listed() -> None:
    with pytest.raises(TypeError) as caught:
        own_client().revoke(token="t", zzz=1)
    assert "'zzz'" in str(caught.value)
    if sys.version_info < (3, 13):
        assert str(caught.value).endswith("; there are token_type_hint")


def test_other_type_errors_are_unchanged(generic: Twin, client: oauth_core.Client) -> None:
    with pytest.raises(TypeError) as caught:
        client.revoke(token=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "argument 'token': expected a string, not a number"
    with pytest.raises(TypeError) as caught:
        client.userinfo(tokens=oauth_core.Tokens.bearer("x"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert "perhaps" not in str(caught.value) and "there are" not in str(caught.value)

    def hook(_: oauth_core.Tokens) -> None:
        raise TypeError("f() got an unexpected keyword argument 'headers'")

    # What a function of the application raises is its own.
    source = client.client_credentials(on_tokens=hook)
    with pytest.raises(TypeError, match="'headers'$"):
        source.get(f"{generic.base}/api/echo", origins=[generic.base], headers={})


def test_signatures_and_documentation_are_those_of_the_native_functions() -> None:
    parameters = inspect.signature(oauth_core.Client).parameters
    assert list(parameters)[:2] == ["server", "client_id"] and "dpop_key" in parameters
    assert "on_tokens" in inspect.signature(oauth_core.Client.source).parameters
    assert "timeout" in inspect.signature(oauth_core.discover).parameters
    assert oauth_core.Client.source.__qualname__ == "Client.source" and oauth_core.Client.source.__doc__
    assert oauth_core.Client.source.__name__ == "source"

    class Own(oauth_core.Client):
        """A class of an application."""

    assert isinstance(Own(SERVER, client_id="id"), Own)
    with pytest.raises(TypeError, match="perhaps client_id"):
        Own(SERVER, clientid="id")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def test_the_error_needs_no_modules_before_it_occurs() -> None:
    program = """
import sys
before = set(sys.modules)
import oauth_core
assert not {"inspect", "difflib"} & (set(sys.modules) - before)
members = vars(oauth_core.GrantSource).values()
assert not any(hasattr(member, "__wrapped__") for member in members), "before there is a client"
oauth_core.Client(oauth_core.provider("usertesting"), client_id="id", client_secret="s")
assert any(hasattr(member, "__wrapped__") for member in members)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
