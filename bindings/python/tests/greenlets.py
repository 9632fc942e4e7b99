"""Runs in a process of its own, which gevent has patched: python greenlets.py WHAT. The server is a greenlet as well."""

from __future__ import annotations

from gevent import monkey  # type: ignore[import-untyped]

monkey.patch_all()

import asyncio  # noqa: E402
import atexit  # noqa: E402
import json  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable  # noqa: E402
from contextvars import ContextVar  # noqa: E402
from typing import Any, Optional  # noqa: E402

import gevent  # noqa: E402
from gevent.pywsgi import WSGIServer  # type: ignore[import-untyped]  # noqa: E402
from gevent.server import StreamServer  # type: ignore[import-untyped]  # noqa: E402

ENDS: list[Callable[[], bool]] = []
# The package registers its own later, so this is called after that.
atexit.register(lambda: print("done" if ENDS and ENDS[-1]() else "lost"))

import oauth_core  # noqa: E402
from oauth_core._bridge import result_of_callback  # noqa: E402

SLOW = 0.3
requests: list[str] = []


def slow(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Responds after the delay in the path, with a token."""
    requests.append(environ["PATH_INFO"])
    gevent.sleep(SLOW if environ["PATH_INFO"] == "/token" else 60)
    start_response("200 OK", [("content-type", "application/json"), ("cache-control", "no-store")])
    return [json.dumps({"access_token": "t", "token_type": "Bearer", "expires_in": 3600}).encode()]


def make_client(port: int, path: str = "/token") -> oauth_core.Client:
    issuer = f"http://127.0.0.1:{port}"
    metadata = {"issuer": issuer, "token_endpoint": issuer + path}
    server = oauth_core.Server.from_metadata(issuer, metadata, transport="loopback_http")
    return oauth_core.Client(server, client_id="me", client_secret="secret")


def others_run(port: int) -> None:
    """Twenty wait for the server, which could not even answer if they stopped the thread."""
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            gevent.sleep(0.01)

    gevent.spawn(tick)
    start = time.monotonic()
    sources = [make_client(port).client_credentials() for _ in range(20)]
    calls = [gevent.spawn(source.token) for source in sources]
    assert {call.get(timeout=60).access_token for call in calls} == {"t"}
    assert len(requests) == 20 and ticks >= 5
    # One after the other takes six seconds.
    assert time.monotonic() - start < 5


def one_renewal(port: int) -> None:
    """Fifty greenlets that need the same token ask for it once."""
    source = make_client(port).client_credentials()
    calls = [gevent.spawn(source.token) for _ in range(50)]
    assert {call.get(timeout=60).access_token for call in calls} == {"t"}
    assert len(requests) == 1


def given_up(port: int) -> None:
    """A greenlet that is out of time, or killed, waits no longer."""
    source = make_client(port, "/never").client_credentials()
    with gevent.Timeout(0.2, False):
        source.token()
        raise AssertionError("there is no token")
    killed = gevent.spawn(source.token)
    gevent.sleep(0.1)
    killed.kill(timeout=5)
    assert killed.dead and make_client(port).client_credentials().token().access_token == "t"


def coroutines(_: int) -> None:
    """Coroutine functions of the application run beside each other, in the context of their request."""
    who: ContextVar[str] = ContextVar("who")

    async def hook() -> str:
        await asyncio.sleep(0.2)
        return who.get()

    def visit(name: str) -> Any:
        who.set(name)
        return result_of_callback(hook())

    names = ["ann", "bob", "cem"]
    start = time.monotonic()
    calls = [gevent.spawn(visit, name) for name in names]
    assert [call.get(timeout=60) for call in calls] == names
    assert time.monotonic() - start < 5


def echo(connection: socket.socket, _: Any) -> None:
    while data := connection.recv(1):
        connection.sendall(data)


class Records:
    """A custom store in a gevent application: its lock is patched, and so is the socket of its database."""

    def __init__(self) -> None:
        database = StreamServer(("127.0.0.1", 0), echo)
        database.start()
        self.connection = socket.create_connection(("127.0.0.1", database.server_port))
        self.lock = threading.Lock()
        self.records: dict[str, tuple[int, str]] = {}
        self.held: dict[str, str] = {}

    def query(self) -> None:
        self.connection.sendall(b"?")
        assert self.connection.recv(1) == b"?"

    def load(self, key: str) -> Optional[tuple[int, str]]:
        with self.lock:
            self.query()
            return self.records.get(key)

    def save(self, key: str, record: str, version: int) -> Optional[int]:
        with self.lock:
            self.query()
            if self.records.get(key, (0, ""))[0] != version:
                return None
            self.records[key] = (version + 1, record)
            return version + 1

    def lease(self, key: str, holder: str, seconds: float) -> Optional[float]:
        with self.lock:
            self.query()
            if seconds == 0:
                self.held.pop(key, None)
            elif self.held.setdefault(key, holder) != holder:
                return 0.05
            return None


def own_store(port: int) -> None:
    """A store that waits as greenlets do."""
    store = Records()
    sources = [make_client(port).client_credentials(store=store) for _ in range(8)]
    calls = [gevent.spawn(source.token) for source in sources for _ in range(5)]
    assert {call.get(timeout=60).access_token for call in calls} == {"t"}
    assert len(requests) == 1 and len(store.records) == 1


def end_of_process(port: int) -> None:
    """Tokens requested when the process ends are stored first, by greenlets."""
    store = Records()
    ENDS.append(lambda: len(store.records) == 1)
    source = make_client(port).client_credentials(store=store)
    gevent.spawn(source.token)
    while not requests:
        gevent.sleep(0.01)


def main() -> None:
    server = WSGIServer(("127.0.0.1", 0), slow, log=None)
    server.start()
    globals()[sys.argv[1]](server.server_port)
    if not ENDS:
        ENDS.append(lambda: True)


if __name__ == "__main__":
    main()
