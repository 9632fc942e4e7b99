"""Built-in stores, shared by real processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import worker
from conftest import CALLBACK, Answer, StubServer, Twin, approve
from servers import PASSWORD, postgres_server, redis_server, until
from test_process import FORKED
from test_store import MemoryStore, Person, age

import oauth_core
from oauth_core import stores

WORKERS = 8


def many(store: stores.FileStore | stores.SqliteStore | stores.MemoryStore | stores.SealedStore) -> None:
    """Stored records are listed, and found when due."""
    for number in range(150):
        due = 1000 + number if number % 2 else None
        assert store.save(f"key-{number}", "text", 0, due=due)
    found: list[str] = []
    cursor = None
    while True:
        keys, cursor = store.scan(cursor)
        found += keys
        if cursor is None:
            break
    assert sorted(set(found)) == sorted(f"key-{number}" for number in range(150))
    assert store.due(1006, 2) == ["key-1", "key-3"]
    before = datetime.fromtimestamp(1004, timezone.utc)
    assert store.due(before, 100) == ["key-1", "key-3"]
    assert store.remove("key-1") and not store.remove("key-1")
    assert store.due(1004, 100) == ["key-3"]
    with pytest.raises(ValueError, match="time zone"):
        store.due(datetime(2026, 1, 1), 1)


def test_many_records_are_listed_and_found_when_due(tmp_path: Path) -> None:
    many(stores.FileStore(tmp_path / "grants"))
    many(stores.SqliteStore(tmp_path / "grants.db"))
    many(stores.SealedStore(stores.SqliteStore(tmp_path / "sealed.db"), bytes(32)))
    memory = stores.MemoryStore()
    many(memory)
    assert repr(memory) == "<oauth_core.stores.MemoryStore>"
    assert "grants.db" in repr(stores.SqliteStore(tmp_path / "grants.db"))


def test_a_source_stores_the_time_when_its_grant_is_due(person: Person) -> None:
    client, tokens = person
    store = stores.MemoryStore()
    source = client.source(store=store, subject="ann")
    source.log_in(tokens)
    assert tokens.expires_at is not None
    end = tokens.expires_at.timestamp()
    assert (store.due(end, 9), store.due(end + 1, 9)) == ([], [source.key])


def test_a_custom_store_may_omit_listing(tmp_path: Path) -> None:
    sealed = stores.SealedStore(MemoryStore(), bytes(32))
    for call in (lambda: sealed.scan(), lambda: sealed.due(1, 1)):
        with pytest.raises(oauth_core.MisuseError) as error:
            call()
        assert error.value.code == "misuse.not_supported"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_database_can_be_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    store = stores.SqliteStore(tmp_path / "grants.db")
    version = store.save("key", "text", 0)
    assert version is not None
    children = []
    for child in range(4):
        pid = os.fork()
        if pid == 0:
            saved = [store.save(f"{child}-{number}", "text", 0) for number in range(25)]
            os._exit(0 if all(saved) and store.load("key") == (version, "text") else 1)
        children.append(pid)
        assert store.save(f"parent-{child}", "text", 0)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    for child in range(4):
        assert all(store.load(f"{child}-{number}") for number in range(25))
Place = tuple[str, str]


@pytest.fixture(params=["file", "sqlite", "sealed", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Describes to a worker where a store is."""
    if request.param == "redis":
        with redis_server(tmp_path) as url:
            yield "redis", url
    elif request.param == "postgres":
        with postgres_server() as url:
            stores.PostgresStore(url).migrate()
            yield "postgres", url
    else:
        yield request.param, str(tmp_path / "grants")


def config_of(twin: Twin, place: Place, folder: Path, token_endpoint: str) -> dict[str, Any]:
    metadata = {
        "issuer": twin.base,
        "authorization_endpoint": f"{twin.base}/authorize",
        "token_endpoint": token_endpoint,
    }
    client_id = twin.data["public_client_id"]
    return {
        "metadata": metadata,
        "client_id": client_id,
        "store": place,
        "folder": str(folder),
        "lease": 2.0,
    }


def long_ago(config: dict[str, Any]) -> tuple[oauth_core.GrantSource, oauth_core.Tokens]:
    """A login some time ago: what is stored is stale."""
    client = worker.client_of(config)
    flow = client.authorize(redirect_uri=CALLBACK, scope="read write offline_access")
    tokens = client.redeem(flow, approve(flow.url))
    source = worker.source_of(config)
    source.log_in(tokens)
    age(worker.make_store(*config["store"]), source)
    return source, tokens


def read_reports(folder: Path) -> list[list[str]]:
    return [json.loads(file.read_text()) for file in folder.glob("said-*")]


def start(worker_kind: str, config: dict[str, Any], source: oauth_core.GrantSource) -> list[Any]:
    if worker_kind == "subprocess":
        command = [sys.executable, worker.__file__, json.dumps(config)]
        return [subprocess.Popen(command) for _ in range(WORKERS)]
    context = multiprocessing.get_context(worker_kind)
    # A forked child has its parent's objects; any other child gets a description.
    arguments = (config, source) if worker_kind == "fork" else (config,)
    processes = [
        context.Process(target=worker.run_worker, args=arguments)  # type: ignore[attr-defined]
        for _ in range(WORKERS)
    ]
    for process in processes:
        process.start()
    return processes


def exit_code(process: Any) -> int | None:
    if isinstance(process, subprocess.Popen):
        return process.wait(60)
    process.join(60)
    code: int | None = process.exitcode
    return code


@pytest.mark.filterwarnings(FORKED)
@pytest.mark.parametrize("worker_kind", ["fork", "spawn", "subprocess"])
def test_processes_with_threads_share_one_refresh(
    generic: Twin, place: Place, tmp_path: Path, worker_kind: str
) -> None:
    config = config_of(generic, place, tmp_path, f"{generic.base}/token")
    # Forked children inherit a source in use, with a thread and perhaps a connection.
    source, tokens = long_ago(config)
    before = generic.counters["token_requests"]
    processes = start(worker_kind, config, source)
    until(lambda: len([*tmp_path.glob("ready-*")]) == WORKERS, "the workers do not begin")
    (tmp_path / "go").touch()
    assert [exit_code(process) for process in processes] == [0] * WORKERS
    access_tokens = read_reports(tmp_path)
    assert len(access_tokens) == WORKERS
    assert len({digest for digests in access_tokens for digest in digests}) == 1
    fresh = worker.source_of(config).token()
    assert access_tokens[0] == [hashlib.sha256(fresh.access_token.encode()).hexdigest()]
    assert fresh.access_token != tokens.access_token
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)


class Front:
    """Proxies a twin's token endpoint: delays one refresh, and forwards all others."""

    def __init__(self, twin: Twin, plain: Callable[[Answer], StubServer]) -> None:
        self.twin = twin
        self.holder: int | None = None
        self.is_held = threading.Event()
        self.is_over = threading.Event()
        self.server = plain(self.respond)

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        *_, body = self.server.seen[-1]
        if b"grant_type=refresh_token" in body and self.holder is None:
            self.holder = int(handler.headers["x-worker"])
            self.is_held.set()
            self.is_over.wait(60)
            handler.close_connection = True
            return
        headers = {"content-type": handler.headers["content-type"]}
        request = urllib.request.Request(self.twin.base + handler.path, body, headers)
        with urllib.request.urlopen(request) as reply:
            content = reply.read()
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


def test_a_worker_killed_during_a_refresh_blocks_no_other(
    generic: Twin, place: Place, tmp_path: Path, plain: Callable[[Answer], StubServer]
) -> None:
    front = Front(generic, plain)
    config = config_of(generic, place, tmp_path, f"{front.server.base}/token")
    source, _ = long_ago(config)
    before = generic.counters["token_requests"]
    processes = start("subprocess", config, source)
    until(lambda: len([*tmp_path.glob("ready-*")]) == WORKERS, "the workers do not begin")
    (tmp_path / "go").touch()
    assert front.is_held.wait(30)
    holder = front.holder
    assert holder is not None and holder in [process.pid for process in processes]
    assert read_reports(tmp_path) == []
    os.kill(holder, signal.SIGKILL)
    codes = {process.pid: exit_code(process) for process in processes}
    front.is_over.set()
    assert codes.pop(holder) == -signal.SIGKILL
    assert list(codes.values()) == [0] * (WORKERS - 1)
    access_tokens = read_reports(tmp_path)
    assert len(access_tokens) == WORKERS - 1
    assert len({digest for digests in access_tokens for digest in digests}) == 1
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)


def test_the_store_methods_save_load_lease_and_remove(place: Place) -> None:
    one, two = worker.make_store(*place), worker.make_store(*place)
    assert one.load("k") is None
    first = one.save("k", "first", 0)
    assert first is not None and first > 0
    assert two.save("k", "lost", 0) is None
    second = two.save("k", "second", first)
    assert second is not None and second > first
    assert one.load("k") == (second, "second")
    assert one.lease("k", "ann", 30) is None
    rest = two.lease("k", "ben", 30)
    assert rest is not None and 0 < rest <= 30
    assert one.lease("k", "ann", 0) is None
    assert two.lease("k", "ben", 30) is None
    assert one.remove("k") is True
    assert one.remove("k") is False
    # A removal leaves an empty record, which other workers see.
    removed = two.load("k")
    assert removed is not None and removed[0] > second and removed[1] == ""
    with pytest.raises(ValueError, match="number of seconds"):
        one.lease("k", "ann", -1)
    with pytest.raises(TypeError):
        one.save("k", "text", None)  # type: ignore[arg-type]


def test_the_keys_of_a_file_store_are_listed_sorted(tmp_path: Path) -> None:
    store = stores.FileStore(tmp_path / "grants")
    for key in ("b", "a"):
        store.save(key, "text", 0)
    assert store.keys() == ["a", "b"]
    assert repr(store) == f'<oauth_core.stores.FileStore "{tmp_path / "grants"}">'


class Wrapped:
    """A custom store that wraps a built-in one."""

    def __init__(self, inner: stores.FileStore) -> None:
        self.load, self.save, self.lease = inner.load, inner.save, inner.lease


@pytest.mark.parametrize("wrap", [lambda store: store, Wrapped], ids=["native", "wrapped"])
def test_a_truncated_record_is_malformed_and_not_overwritten(
    person: Person, tmp_path: Path, wrap: Callable[[stores.FileStore], stores.Store]
) -> None:
    client, tokens = person
    folder = tmp_path / "grants"
    store = stores.FileStore(folder)
    source = client.source(store=store, subject="ann")
    source.log_in(tokens)
    [file] = folder.glob("grant-*.json")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    cut = file.read_bytes()
    other = client.source(store=wrap(store), subject="ann")
    for call in (other.token, lambda: store.load(str(source.key))):
        with pytest.raises(oauth_core.MisuseError) as caught:
            call()
        error = caught.value
        assert (error.code, error.endpoint, error.advice) == (
            "stored.malformed",
            "store",
            "reauthorize",
        )
        assert str(tokens.refresh_token) not in f"{error}{error.__cause__}"
    assert file.read_bytes() == cut
    assert store.remove(str(source.key))
    other.log_in(tokens)
    assert other.token().access_token == tokens.access_token


def test_an_error_of_another_server_inside_a_store_is_reported_as_lost(client: oauth_core.Client) -> None:
    class Behind(MemoryStore):
        """A store that needs a token of its own, and does not get it."""

        def load(self, key: str, /) -> tuple[int, str] | None:
            data = client.exchange.client_credentials()
            next(data)
            body = b'{"error":"invalid_grant"}'
            data.send((400, [("content-type", "application/json")], body))
            return None

    with pytest.raises(oauth_core.LostError) as caught:
        client.source(store=Behind(), subject="ann").token()
    assert caught.value.endpoint == "store"


def test_invalid_stores_are_rejected_at_construction(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for path in (tmp_path / "file", open_to_all):
        with pytest.raises(oauth_core.MisuseError) as caught:
            stores.FileStore(path)
        assert (caught.value.code, caught.value.endpoint) == ("store.setup", "store")
    with pytest.raises(oauth_core.MisuseError) as caught:
        stores.RedisStore(f"http://:{PASSWORD}@127.0.0.1/")
    assert caught.value.code == "store.setup" and PASSWORD not in str(caught.value)
    with pytest.raises(oauth_core.MisuseError) as caught:
        stores.PostgresStore(f"postgres://:{PASSWORD}@127.0.0.1:port/")
    assert caught.value.code == "store.setup" and PASSWORD not in str(caught.value)
    with pytest.raises(TypeError):
        stores.FileStore(7)  # type: ignore[arg-type]


def test_an_unreachable_or_refusing_redis_is_reported_without_its_password(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        store = stores.RedisStore(url, prefix="mine:", timeout=2)
        assert store.save("k", "text", 0) is not None
        refused = stores.RedisStore(url.replace(PASSWORD, "wr0ng"), timeout=2)
        with pytest.raises(oauth_core.MisuseError) as caught:
            refused.load("k")
        assert caught.value.code == "store.setup"
        assert "wr0ng" not in f"{caught.value}{caught.value.__cause__}"
        assert stores.RedisStore(url).load("k") is None, "another prefix"
    with pytest.raises(oauth_core.LostError) as lost:
        store.load("k")
    assert lost.value.endpoint == "store"
    for text in (repr(store), str(store), f"{lost.value}{lost.value.__cause__}"):
        assert PASSWORD not in text and "127.0.0.1" not in repr(store)


def test_the_postgres_table_is_created_once_and_kept() -> None:
    with postgres_server() as url:
        store = stores.PostgresStore(url, timeout=2)
        with pytest.raises(oauth_core.MisuseError, match="migrate") as caught:
            store.load("k")
        assert (caught.value.code, caught.value.endpoint) == ("store.setup", "store")
        with ThreadPoolExecutor(4) as pool:
            for made in [pool.submit(stores.PostgresStore(url).migrate) for _ in range(4)]:
                made.result()
        version = store.save("k", "text", 0)
        assert version
        asyncio.run(store.amigrate())
        assert store.load("k") == (version, "text")
        refused = stores.PostgresStore(url.replace(PASSWORD, "wr0ng"), timeout=2)
        with pytest.raises(oauth_core.MisuseError) as caught:
            refused.migrate()
        assert caught.value.code == "store.setup"
        assert "wr0ng" not in f"{caught.value}{caught.value.__cause__}"
    with pytest.raises(oauth_core.LostError) as lost:
        store.load("k")
    for text in (repr(store), f"{lost.value}{lost.value.__cause__}"):
        assert PASSWORD not in text and "127.0.0.1" not in repr(store)
    assert "create table" in stores.PostgresStore.SCHEMA.lower()
