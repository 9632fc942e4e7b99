"""Forks, signals, and the end of the interpreter."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CALLBACK, Twin, approve, expired, generic_client

import oauth_core
from oauth_core.stores import FileStore

SETUP = """
import asyncio, os, sys, threading, oauth_core
base, client_id, secret = sys.argv[1:4]
server = oauth_core.discover(base, transport="loopback_http")
client = oauth_core.Client(server, client_id=client_id, client_secret=secret)
"""


def script(twin: Twin, text: str) -> list[str]:
    data = twin.data
    code = SETUP + textwrap.dedent(text)
    return [sys.executable, "-c", code, twin.base, data["client_id"], data["client_secret"]]


def run(twin: Twin, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        script(twin, text), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def in_child(work: Callable[[], object]) -> int:
    """Runs this in the child of a fork: 0 if it returned."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(20)
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


FORKED = "ignore:This process .* is multi-threaded:DeprecationWarning"


@pytest.mark.filterwarnings(FORKED)
def test_a_forked_process_gets_a_token(generic: Twin, client: oauth_core.Client) -> None:
    source = client.client_credentials()
    source.token()
    assert in_child(source.token) == 0
    assert in_child(lambda: client.client_credentials().token()) == 0
    assert source.token().access_token
    assert generic.counters["token_requests"] == 3


@pytest.mark.filterwarnings(FORKED)
def test_a_forked_process_uses_the_newest_tokens(
    generic: Twin, person: tuple[oauth_core.Client, oauth_core.Tokens]
) -> None:
    client, tokens = person
    source = client.source(expired(tokens))
    parent = source.token()
    before = generic.counters["token_requests"]

    def child() -> None:
        assert source.token().access_token == parent.access_token

    assert in_child(child) == 0
    assert generic.counters["token_requests"] == before


@pytest.mark.filterwarnings(FORKED)
def test_a_process_forked_during_a_request_gets_a_token(generic: Twin, client: oauth_core.Client) -> None:
    source = client.client_credentials()
    generic.fault("slow_body", millis_per_byte=5)
    waiting = threading.Thread(target=source.token)
    waiting.start()
    while generic.counters["token_requests"] == 0:
        time.sleep(0.005)
    assert in_child(source.token) == 0
    waiting.join()


ENDS = {
    "awaited": """
        async def main():
            await asyncio.gather(*(client.client_credentials().atoken() for _ in range(30)))
        asyncio.run(main())
    """,
    "cancelled": """
        async def main():
            tasks = [asyncio.ensure_future(client.client_credentials().atoken()) for _ in range(30)]
            await asyncio.sleep(0.01)
        asyncio.run(main())
    """,
    "daemon": """
        source = client.client_credentials(on_tokens=lambda tokens: None)
        for _ in range(10):
            threading.Thread(target=client.client_credentials().token, daemon=True).start()
            threading.Thread(target=source.token, daemon=True).start()
    """,
    "left": """
        loop = asyncio.new_event_loop()
        async def main():
            for _ in range(30):
                asyncio.ensure_future(client.client_credentials().atoken())
            await asyncio.sleep(0.005)
        loop.run_until_complete(main())
    """,
}


@pytest.mark.parametrize("end", sorted(ENDS))
def test_the_interpreter_exits_cleanly_during_requests(generic: Twin, tmp_path: Path, end: str) -> None:
    for _ in range(20):
        finished = run(generic, ENDS[end], tmp_path)
        assert finished.returncode == 0, finished.stderr


def test_requests_in_an_exit_handler_are_completed(generic: Twin, tmp_path: Path) -> None:
    text = """
        import atexit
        source = client.client_credentials()
        @atexit.register
        def last():
            client.revoke(token=source.token().access_token)
            print("revoked")
    """
    finished = run(generic, text, tmp_path)
    assert (finished.returncode, finished.stdout.strip()) == (0, "revoked")
    assert generic.counters["revocations"] == 1


def log_in(twin: Twin) -> oauth_core.Tokens:
    client = generic_client(twin)
    flow = client.authorize(redirect_uri=CALLBACK, scope="read offline_access")
    return client.redeem(flow, approve(flow.url))


def test_a_renewal_in_progress_at_exit_is_completed_and_stored(
    generic: Twin, tmp_path: Path
) -> None:
    """If it were cut off, the rotated refresh token would be lost."""
    (tmp_path / "tokens.json").write_text(log_in(generic).serialize())
    text = """
        import json, pathlib, time, urllib.request
        from oauth_core.stores import FileStore
        first = oauth_core.Tokens.deserialize(pathlib.Path("tokens.json").read_text())
        source = client.source(first, store=FileStore("grants"), subject="ann")
        source.log_in(first)
        fault = json.dumps({"name": "slow_body", "millis_per_byte": 5}).encode()
        urllib.request.urlopen(base + "/_twin/fault", fault).read()
        threading.Thread(target=source.renew, args=(first,), daemon=True).start()
        def asked():
            return json.loads(urllib.request.urlopen(base + "/_twin/counters").read())["refreshes"]
        while asked() == 0:
            time.sleep(0.005)
        print("ends", flush=True)
    """
    done = run(generic, text, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")
    store = FileStore(tmp_path / "grants")
    source = generic_client(generic).source(store=store, subject="ann")
    newest = source.token()
    assert source.renew(newest).access_token != newest.access_token
    assert generic.counters["reuse_events"] == 0


def test_drain_waits_for_the_renewal_and_closes_the_source(generic: Twin) -> None:
    first = log_in(generic)
    source = generic_client(generic).source(first)
    generic.fault("slow_body", millis_per_byte=2)
    renewing = threading.Thread(target=source.renew, args=(first,))
    renewing.start()
    while generic.counters["refreshes"] == 0:
        time.sleep(0.005)
    with pytest.raises(oauth_core.LostError):
        source.drain(timeout=0.01)
    asyncio.run(source.adrain(timeout=20))
    renewing.join()
    token = source.token()
    assert token.access_token != first.access_token
    with pytest.raises(oauth_core.MisuseError, match=r"token_source\.closed"):
        source.renew(token)
    assert generic.counters["refreshes"] == 1


def test_ctrl_c_interrupts_a_pending_request(generic: Twin, tmp_path: Path) -> None:
    text = """
        import json, signal, urllib.request
        # A runner in the background hands down that Ctrl-C is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        fault = json.dumps({"name": "slow_body", "millis_per_byte": 60000}).encode()
        urllib.request.urlopen(base + "/_twin/fault", fault).read()
        try:
            client.client_credentials().token()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    child = subprocess.Popen(script(generic, text), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    while generic.counters["token_requests"] == 0:
        time.sleep(0.01)
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=20)[0].strip() == "interrupted"
    assert child.returncode == 0
