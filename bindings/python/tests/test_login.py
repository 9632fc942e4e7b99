"""The login of native apps: the redirect URI, and a pasted callback URL."""

from __future__ import annotations

import asyncio
import http.cookiejar
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from typing import Any

import pytest
from conftest import Twin, approve, browse, generic_client
from servers import free_port

import oauth_core


def test_the_login_url_is_printed_and_opened_in_the_browser(
    generic: Twin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    def visit(url: str) -> bool:
        opened.append(url)
        browse(url)
        return True

    monkeypatch.setenv("DISPLAY", ":1")
    monkeypatch.setattr(webbrowser, "open", visit)
    tokens = oauth_core.login(generic_client(generic, public=True), scope="read", timeout=30)
    assert tokens.access_token
    captured = capsys.readouterr()
    assert opened[0] in captured.err and not captured.out


def test_the_program_in_browser_is_used_without_a_display(
    generic: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.7 50022 203.0.113.5 22")
    monkeypatch.setenv("BROWSER", f"/no/such/browser:{sys.executable} -c pass %s")
    opened: list[str] = []

    def visit(url: str) -> bool:
        opened.append(url)
        browse(url)
        return True

    monkeypatch.setattr(webbrowser, "open", visit)

    def show(code: oauth_core.DeviceAuthorizationResponse) -> None:
        raise AssertionError(f"nobody enters {code.user_code}")

    client = generic_client(generic)
    assert oauth_core.login(client, scope="read", show=show, timeout=30).access_token
    assert len(opened) == 1


@pytest.fixture
def without_browser(generic: Twin, monkeypatch: pytest.MonkeyPatch) -> Twin:
    """The twin, and a machine without a display, on which nothing is opened."""
    generic.polling_interval(1)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)

    def refuse(url: str) -> bool:
        raise AssertionError(f"nobody sees {url}")

    monkeypatch.setattr(webbrowser, "open", refuse)
    return generic


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_the_opener_may_block_until_the_browser_has_ended(generic: Twin, way: str) -> None:
    visited: list[str] = []

    def visit(url: str) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        with urllib.request.build_opener(jar).open(url, timeout=20) as page:
            visited.append(page.geturl())
        assert threading.current_thread() is threading.main_thread()

    client = generic_client(generic, public=True)
    if way == "asyncio":
        tokens = asyncio.run(oauth_core.alogin(client, scope="read", open=visit, timeout=30))
    else:
        tokens = oauth_core.login(client, scope="read", open=visit, timeout=30)
    assert tokens.access_token and "/callback?" in visited[0]


def test_a_failing_opener_ends_the_login_and_the_listener(generic: Twin) -> None:
    port = free_port()
    client = generic_client(generic, public=True)

    def failing_opener(url: str) -> None:
        raise RuntimeError("no browser here")

    for _ in range(2):
        # The port can be used again: the listener is closed.
        with pytest.raises(RuntimeError, match="no browser here"):
            oauth_core.login(client, scope="read", open=failing_opener, port=port)
    assert oauth_core.login(client, scope="read", open=browse, port=port, timeout=30)


def enter_code(code: oauth_core.DeviceAuthorizationResponse) -> None:
    page = code.verification_uri_complete
    assert page is not None
    with urllib.request.urlopen(page) as response:
        assert response.status == 200


@pytest.mark.parametrize("reason", ["no display", "BROWSER=none", "nothing opens"])
@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_a_login_without_a_browser_falls_back_to_a_code_on_another_device(
    without_browser: Twin, monkeypatch: pytest.MonkeyPatch, way: str, reason: str
) -> None:
    if reason != "no display":
        monkeypatch.setenv("DISPLAY", ":1")
    if reason == "BROWSER=none":
        monkeypatch.setenv("BROWSER", "none")
    if reason == "nothing opens":
        monkeypatch.setattr(webbrowser, "open", lambda url: False)
    client = generic_client(without_browser)
    purpose = "sign in on a shelf"
    if way == "asyncio":
        tokens = asyncio.run(
            oauth_core.alogin(client, scope="read", show=enter_code, purpose=purpose, login_hint="alice")
        )
    else:
        tokens = oauth_core.login(client, scope="read", show=enter_code, purpose=purpose)
    assert list(tokens.scope) == ["read"]


def test_the_device_prompt_is_printed_and_the_qr_code_only_on_a_terminal(
    without_browser: Twin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = generic_client(without_browser)
    for is_terminal in (False, True):
        codes: list[oauth_core.DeviceAuthorizationResponse] = []

        def recording(
            client: oauth_core.Client,
            codes: list[oauth_core.DeviceAuthorizationResponse] = codes,
            authorize: Any = oauth_core.Client.device_authorization,
            **options: Any,
        ) -> oauth_core.DeviceAuthorizationResponse:
            codes.append(authorize(client, **options))
            enter_code(codes[-1])
            return codes[-1]

        with monkeypatch.context() as patch:
            patch.setattr(oauth_core.Client, "device_authorization", recording)
            patch.setattr(sys.stderr, "isatty", lambda seen=is_terminal: seen, raising=False)
            oauth_core.login(client, scope="read")
        captured = capsys.readouterr()
        qr_code = codes[0].qr_code
        assert qr_code is not None and codes[0].prompt in captured.err and not captured.out
        assert (qr_code in captured.err) is is_terminal


def test_a_login_stays_in_the_browser_if_configured(
    without_browser: Twin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(code: oauth_core.DeviceAuthorizationResponse) -> None:
        raise AssertionError("nobody wants a code")

    client = generic_client(without_browser, public=True)
    # A custom opener has a browser.
    assert oauth_core.login(client, scope="read", open=browse, show=show, timeout=30)
    # Without a browser, the URL is printed, for the user to open.
    opened: list[str] = []

    def open_printed_url(url: str) -> bool:
        opened.append(url)
        browse(url)
        return False

    monkeypatch.setattr(webbrowser, "open", open_printed_url)
    assert oauth_core.login(client, scope="read", device=False, show=show, timeout=30)
    # A device authorization request has no `prompt` parameter.
    assert oauth_core.login(client, scope="read", prompt="login", show=show, timeout=30)
    captured = capsys.readouterr().err
    assert len(opened) == 2 and all(url in captured for url in opened)
    # The server issues no codes to an unknown client.
    auth = oauth_core.ClientSecretBasic("wrong")
    data = without_browser.data
    other_client = oauth_core.Client(client.server, client_id=data["client_id"], client_auth=auth)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with pytest.raises(oauth_core.LostError):
        oauth_core.login(other_client, scope="read", show=show, timeout=0.2)
    assert len(opened) == 3
    with pytest.raises(oauth_core.DeniedError):
        oauth_core.login(other_client, scope="read", device=True, show=show)


@pytest.mark.parametrize("expected_uri", ["port", "path", "redirect_uri"])
def test_a_login_listens_at_the_configured_address(generic: Twin, expected_uri: str) -> None:
    port = free_port()
    choices: dict[str, dict[str, Any]] = {
        "port": {"port": port},
        "path": {"path": "/signed-in"},
        "redirect_uri": {"redirect_uri": f"http://127.0.0.1:{port}/my/app"},
    }
    for path in ("/signed-in", "/my/app"):
        generic.register(f"http://127.0.0.1{path}")
    client = generic_client(generic, public=True)
    assert oauth_core.login(client, scope="read", open=browse, timeout=30, **choices[expected_uri])
    sent = generic.entry("/token")["form"]["redirect_uri"]
    assert {
        "port": sent == f"http://127.0.0.1:{port}/callback",
        "path": sent.endswith("/signed-in"),
        "redirect_uri": sent == f"http://127.0.0.1:{port}/my/app",
    }[expected_uri], sent


def test_conflicting_or_invalid_redirect_uris_of_a_listener_are_rejected() -> None:
    with pytest.raises(TypeError):
        oauth_core.Listener(port=1, redirect_uri="http://127.0.0.1/cb")
    for redirect_uri in ("https://127.0.0.1/cb", "http://app.example/cb"):
        with pytest.raises(oauth_core.MisuseError) as caught:
            oauth_core.Listener(redirect_uri=redirect_uri)
        assert caught.value.code == "redirect_uri.refused"


@pytest.mark.parametrize("form", ["address", "no scheme", "query"])
def test_the_user_pastes_the_callback_url_after_an_invalid_one(generic: Twin, form: str) -> None:
    """The browser is on another machine, and the first entries are wrong."""
    callbacks: list[str] = []
    listener_ready = threading.Event()
    pasted = ["", "http://127.0.0.1/callback?state=of-another-login&code=x"]

    def approve_on_other_machine(url: str) -> None:
        address = approve(url)
        callbacks.append(
            {
                "address": address,
                "no scheme": address.removeprefix("http://"),
                "query": address.partition("?")[2],
            }[form]
        )
        listener_ready.set()

    def paste() -> str:
        listener_ready.wait(30)
        return pasted.pop(0) if pasted else callbacks[0]

    client = generic_client(generic, public=True)
    assert oauth_core.login(client, scope="read", open=approve_on_other_machine, paste=paste, timeout=30)
    assert not pasted, "what was wrong is asked for again"


def test_a_login_completes_when_the_paste_prompt_is_closed(generic: Twin) -> None:
    """The browser comes back, and the terminal is closed."""
    requests: list[int] = []

    def paste() -> str:
        requests.append(1)
        raise EOFError

    client = generic_client(generic, public=True)
    login = oauth_core.alogin(client, scope="read", open=browse, paste=paste, timeout=30)
    assert asyncio.run(login).access_token
    assert requests == [1]


PASTING = """
import sys, threading, time, urllib.request
import oauth_core
server = oauth_core.discover({base!r}, transport="loopback_http")
client = oauth_core.Client(server, client_id={client_id!r}, client_auth=oauth_core.Public())
def browse(url):
    threading.Thread(target=lambda: urllib.request.urlopen(url, timeout=20).read()).start()
def approve(url):
    try: urllib.request.build_opener(Stay).open(url)
    except urllib.error.HTTPError as answer: print(answer.headers["location"], flush=True)
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
first = input() if {reads_before} else None
print(oauth_core.login(client, scope="read", open={opener}, paste=input, timeout=20).token_type, flush=True)
print(first, input() if {reads_after} else None)
"""


def pasting(generic: Twin, opener: str, *, reads_before: bool = False, reads_after: bool = False) -> Any:
    client_id = generic.data["public_client_id"]
    program = PASTING.format(
        base=generic.base, client_id=client_id, opener=opener, reads_before=reads_before, reads_after=reads_after
    )
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_an_unanswered_prompt_ends_with_the_login(generic: Twin) -> None:
    """Standard input stays open, as at a terminal, and the browser comes back: the interpreter exits as usual."""
    with pasting(generic, "browse") as program:
        assert program.wait(60) == 0, program.stderr.read()
        assert program.stdout.read().lower() == "bearer\nnone none\n" and program.stderr.read() == ""


def test_a_prompt_consumes_no_input_after_the_login(generic: Twin) -> None:
    with pasting(generic, "browse", reads_after=True) as program:
        assert program.stdout.readline().lower() == "bearer\n"
        program.stdin.write("for the program\n")
        program.stdin.flush()
        assert program.wait(60) == 0, program.stderr.read()
        assert program.stdout.read() == "None for the program\n"


@pytest.mark.parametrize("ends", [True, False])
def test_input_reads_the_callback(generic: Twin, ends: bool) -> None:
    with pasting(generic, "approve", reads_after=not ends) as program:
        address = program.stdout.readline()
        program.stdin.write("a mistake\n" + address)
        if ends:
            program.stdin.close()
        else:
            program.stdin.write("for the program\n")
            program.stdin.flush()
        assert program.wait(60) == 0, program.stderr.read()
        following = "None" if ends else "for the program"
        assert program.stdout.read().lower() == f"bearer\nnone {following}\n".lower()


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
@pytest.mark.parametrize("chosen", ["device", "no browser"])
def test_a_timeout_limits_a_device_login(without_browser: Twin, way: str, chosen: str) -> None:
    client = generic_client(without_browser)
    options: dict[str, Any] = {"scope": "read", "show": lambda code: None, "timeout": 1.5}
    options |= {"device": True} if chosen == "device" else {}
    start = time.monotonic()
    with pytest.raises(oauth_core.LostError) as caught:
        if way == "asyncio":
            asyncio.run(oauth_core.alogin(client, **options))
        else:
            oauth_core.login(client, **options)
    assert caught.value.code == "lost.timeout"
    assert time.monotonic() - start < 10


def test_an_invalid_port_is_reported() -> None:
    with pytest.raises(ValueError, match="port must be a number from 0 to 65535"):
        oauth_core.Listener(port=99999)
    with pytest.raises(TypeError, match="argument 'port'"):
        oauth_core.Listener(port="80")  # type: ignore[arg-type]
