"""The login of native apps: where it listens, and the address that is pasted."""

from __future__ import annotations

import asyncio
import socket
import threading
import webbrowser
from typing import Any

import pytest
from conftest import Twin, approve, browse, generic_client

import oauth_core


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_url_is_printed_and_the_browser_opened(
    generic: Twin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    def visit(url: str) -> bool:
        opened.append(url)
        browse(url)
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    tokens = oauth_core.login(generic_client(generic, public=True), scope="read", timeout=30)
    assert tokens.access_token
    said = capsys.readouterr()
    assert opened[0] in said.err and not said.out


@pytest.mark.parametrize("wanted", ["port", "path", "redirect_uri"])
def test_a_login_listens_where_it_is_told(generic: Twin, wanted: str) -> None:
    port = free_port()
    choices: dict[str, dict[str, Any]] = {
        "port": {"port": port},
        "path": {"path": "/signed-in"},
        "redirect_uri": {"redirect_uri": f"http://127.0.0.1:{port}/my/app"},
    }
    for path in ("/signed-in", "/my/app"):
        generic.register(f"http://127.0.0.1{path}")
    client = generic_client(generic, public=True)
    assert oauth_core.login(client, scope="read", open=browse, timeout=30, **choices[wanted])
    sent = generic.entry("/token")["form"]["redirect_uri"]
    assert {
        "port": sent == f"http://127.0.0.1:{port}/callback",
        "path": sent.endswith("/signed-in"),
        "redirect_uri": sent == f"http://127.0.0.1:{port}/my/app",
    }[wanted], sent


def test_where_to_listen_is_said_once() -> None:
    with pytest.raises(TypeError):
        oauth_core.Listener(port=1, redirect_uri="http://127.0.0.1/cb")
    for redirect_uri in ("https://127.0.0.1/cb", "http://app.example/cb"):
        with pytest.raises(oauth_core.Misuse) as caught:
            oauth_core.Listener(redirect_uri=redirect_uri)
        assert caught.value.code == "redirect_uri.refused"


@pytest.mark.parametrize("form", ["address", "no scheme", "query"])
def test_an_address_is_pasted(generic: Twin, form: str) -> None:
    """By somebody whose browser is on another machine, and who errs at first."""
    ended: list[str] = []
    here = threading.Event()
    pasted = ["", "http://127.0.0.1/callback?state=of-another-login&code=x"]

    def elsewhere(url: str) -> None:
        address = approve(url)
        ended.append(
            {
                "address": address,
                "no scheme": address.removeprefix("http://"),
                "query": address.partition("?")[2],
            }[form]
        )
        here.set()

    def paste() -> str:
        here.wait(30)
        return pasted.pop(0) if pasted else ended[0]

    client = generic_client(generic, public=True)
    assert oauth_core.login(client, scope="read", open=elsewhere, paste=paste, timeout=30)
    assert not pasted, "what was wrong is asked for again"


def test_nobody_pastes(generic: Twin) -> None:
    """The browser comes back, and the terminal is closed."""
    asked: list[int] = []

    def paste() -> str:
        asked.append(1)
        raise EOFError

    client = generic_client(generic, public=True)
    login = oauth_core.alogin(client, scope="read", open=browse, paste=paste, timeout=30)
    assert asyncio.run(login).access_token
    assert asked == [1]
