"""Real servers, each for one test: on a free port, in a folder of its own, killed at the end."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "p-S3CR3T"


def until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def _ports() -> Iterator[int]:
    """Below those that systems give to connections, and to listeners that ask for any; processes beside this one begin
    elsewhere."""
    first, end = 15_000, 32_768
    port = random.randrange(first, end)
    while True:
        yield port
        port = port + 1 if port + 1 < end else first


_PORTS = _ports()


def free_port() -> int:
    """A port that no process listens on, and that was not returned to this process before."""
    for port in _PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("all ports are taken")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: list[str], is_ready: Callable[[], bool], **options: Any) -> Iterator[None]:
    name = Path(command[0]).name
    silent = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=silent, stderr=silent, **options)

    def answers() -> bool:
        assert server.poll() is None, f"{name} ended"
        return is_ready()

    try:
        until(answers, f"{name} does not answer")
        yield
    finally:
        # At once, and a server with processes of its own takes them along.
        server.send_signal(signal.SIGQUIT)
        try:
            server.wait(3)
        except subprocess.TimeoutExpired:
            # A shell's background job ignores that signal, and so do its children that handle none.
            server.kill()
            server.wait(20)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Starts Redis; returns its URL."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.fail("redis-server is missing: apt-get install redis-server")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    options += ["--requirepass", PASSWORD, "--dir", str(folder)]
    with running([binary, *options], lambda: listens(port)):
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


def program(name: str) -> str:
    """One of PostgreSQL's programs: in the path, or of the newest version where Debian puts them."""
    debian_paths = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or (str(debian_paths[0]) if debian_paths else None)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install postgresql")
    return found


@contextmanager
def postgres_server() -> Iterator[str]:
    """Starts PostgreSQL without a table; returns its URL."""
    initdb, postgres, pg_isready = map(program, ["initdb", "postgres", "pg_isready"])
    # It does not run as root, and the folders of the tests are closed to its user.
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    as_user: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid} if user else {}
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), str(Path(name) / "data")
        password = folder / "password"
        password.write_text(PASSWORD)
        for path in (folder, password):
            if user:
                os.chown(path, user.pw_uid, user.pw_gid)
        made = ["--username=tester", "--auth=scram-sha-256", "--no-sync", "--locale=C"]
        made += ["--encoding=UTF8", f"--pwfile={password}", f"--pgdata={data}"]
        subprocess.run(
            [initdb, *made], stdout=subprocess.DEVNULL, check=True, cwd="/", **as_user
        )
        port = free_port()
        options = ["-p", str(port), "-D", data, "-c", "listen_addresses=127.0.0.1"]
        options += ["-c", "fsync=off", "-c", "unix_socket_directories="]
        # It listens before it accepts connections.
        asks = [pg_isready, "--quiet", "--host=127.0.0.1", f"--port={port}"]

        def is_ready() -> bool:
            return subprocess.run(asks).returncode == 0

        with running([postgres, *options], is_ready, cwd="/", **as_user):
            yield f"postgres://tester:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable"
