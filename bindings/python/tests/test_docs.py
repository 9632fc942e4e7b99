"""All public names are documented, for IDEs and at run time."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import oauth_core
from oauth_core import _native, drive, errors, stores

STUB = Path(oauth_core.__file__).with_name("_native.pyi")
CODE = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(body: list[ast.stmt], prefix: str = "") -> dict[str, str]:
    """The docstrings of a stub by name; of a name with overloads, the first."""
    found: dict[str, str] = {}
    for node in body:
        if isinstance(node, CODE) and not node.name.startswith("_"):
            name = prefix + node.name
            found[name] = found.get(name) or ast.get_docstring(node) or ""
            if isinstance(node, ast.ClassDef):
                found |= docstrings(node.body, f"{name}.")
    return found


def documented(holder: Any, names: list[str], prefix: str = "") -> dict[str, str]:
    """The docstrings at run time. Constants have none."""
    found: dict[str, str] = {}
    for name in names:
        value = getattr(holder, name)
        if name.startswith("_") or isinstance(value, (int, str, tuple)):
            continue
        doc = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
        found[prefix + name] = inspect.cleandoc(doc or "")
        if isinstance(value, type):
            found |= documented(value, list(vars(value)), f"{name}.")
    return found


IN_STUB = docstrings(ast.parse(STUB.read_text()).body)
AT_RUN_TIME = documented(_native, [name for name in vars(_native) if not name.startswith("_")])


def test_the_stub_and_the_module_have_the_same_names() -> None:
    assert IN_STUB.keys() == AT_RUN_TIME.keys()
    assert len(IN_STUB) > 180


@pytest.mark.parametrize("name", sorted(IN_STUB.keys() | AT_RUN_TIME.keys()))
def test_the_stub_matches_the_module(name: str) -> None:
    assert AT_RUN_TIME[name] and AT_RUN_TIME[name][-1] in ".!?"
    assert IN_STUB[name] == AT_RUN_TIME[name]


@pytest.mark.parametrize("module", [oauth_core, drive, errors, stores])
def test_all_public_names_have_docstrings(module: Any) -> None:
    silent = []
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) or inspect.isroutine(value):
            doc = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
            silent += [] if doc else [name]
    assert silent == []


def test_times_document_their_unit() -> None:
    for name in ("discover", "GrantSource.token", "GrantSource.drain", "Listener.callback"):
        assert "seconds" in AT_RUN_TIME[name], name
    for name in ("PendingAuthorization.started_at", "Tokens.expires_at", "Tokens.received_at", "Save.due"):
        assert "UTC" in AT_RUN_TIME[name], name
    for name in ("Client.redeem", "PendingAuthorization.state"):
        assert "RFC " in AT_RUN_TIME[name], name


SOURCES = ("RFC ", "OpenID Connect ", "CIBA Core ", "draft-ietf-")
"""Prefixes of references to standards."""


@pytest.mark.parametrize("holder", [oauth_core.Client, oauth_core.Exchanges])
def test_operations_document_their_arguments(holder: type) -> None:
    (operations,) = [
        base for base in holder.__mro__ if base.__module__.endswith(("._ops", "._exchange_ops"))
    ]
    methods = {name: method for name, method in vars(operations).items() if not name.startswith("_")}
    assert "refresh" in methods
    for name, method in methods.items():
        doc = " ".join((method.__doc__ or "").split())
        parameters = list(inspect.signature(method).parameters.values())[1:]
        assert doc and {one.kind for one in parameters} == {inspect.Parameter.KEYWORD_ONLY}, name
        if not doc.endswith("(), in a coroutine."):
            assert any(source in doc for source in SOURCES), name
            assert all(f" {one.name}: " in doc for one in parameters), name
