"""One grant, shared by workers through a store."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Twin, expired
from test_process import FORKED, in_child

import oauth_core
from oauth_core import stores

Person = tuple[oauth_core.Client, oauth_core.Tokens]


class MemoryStore:
    """Three methods, and a clock of its own for leases."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[int, str]] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.lock = threading.Lock()

    def load(self, key: str, /) -> tuple[int, str] | None:
        return self.records.get(key)

    def save(self, key: str, record: str, version: int, /) -> int | None:
        with self.lock:
            if self.records.get(key, (0, ""))[0] != version:
                return None
            self.records[key] = (version + 1, record)
            return version + 1

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        with self.lock:
            other, end = self.leases.get(key, (holder, 0.0))
            remaining = end - time.monotonic()
            if other != holder and remaining > 0:
                return remaining if seconds > 0 else None
            self.leases[key] = (holder, time.monotonic() + seconds)
            return None


class Sqlite:
    """The same for processes: a custom store in thirty lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with self.transaction() as db:
            db.execute("create table if not exists record (key primary key, version, record)")
            db.execute("create table if not exists lease (key primary key, holder, until)")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.file, timeout=20, isolation_level=None)
        try:
            db.execute("begin immediate")
            yield db
            db.execute("commit")
        finally:
            db.close()

    def load(self, key: str, /) -> tuple[int, str] | None:
        with self.transaction() as db:
            found = db.execute("select version, record from record where key = ?", (key,))
            row: tuple[int, str] | None = found.fetchone()
            return row

    def save(self, key: str, record: str, version: int, /) -> int | None:
        with self.transaction() as db:
            row = db.execute("select version from record where key = ?", (key,)).fetchone()
            if (row[0] if row else 0) != version:
                return None
            db.execute("replace into record values (?, ?, ?)", (key, version + 1, record))
            return version + 1

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        with self.transaction() as db:
            row = db.execute("select holder, until from lease where key = ?", (key,)).fetchone()
            remaining = row[1] - time.time() if row else 0.0
            if row and row[0] != holder and remaining > 0:
                return remaining if seconds > 0 else None
            until = time.time() + seconds
            db.execute("replace into lease values (?, ?, ?)", (key, holder, until))
            return None


def age(store: stores.Store, source: oauth_core.GrantSource | oauth_core.Keeper) -> None:
    """Time passes: what is stored is stale."""
    assert source.key is not None
    entry = store.load(source.key)
    assert entry is not None
    version, text = entry
    record = json.loads(text)
    record["tokens"]["received_at"] -= 100_000
    saved = store.save(source.key, json.dumps(record), version)
    assert saved is not None and saved > version


def test_eight_workers_of_threads_and_tasks_share_one_refresh(
    generic: Twin, person: Person
) -> None:
    client, tokens = person
    store = MemoryStore()
    first = client.source(store=store, subject="ann")
    first.log_in(tokens)
    age(store, first)
    before = generic.counters["token_requests"]
    workers = [client.source(store=store, subject="ann") for _ in range(8)]

    async def tasks() -> set[str]:
        pending = [worker.atoken() for worker in workers for _ in range(50)]
        return {token.access_token for token in await asyncio.gather(*pending)}

    with ThreadPoolExecutor(80) as pool:
        threads = [pool.submit(worker.token) for worker in workers for _ in range(10)]
        access_tokens = asyncio.run(tasks()) | {thread.result().access_token for thread in threads}
    assert len(access_tokens) == 1 and tokens.access_token not in access_tokens
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)


@pytest.mark.filterwarnings(FORKED)
def test_processes_with_a_custom_store_share_one_request(
    generic: Twin, person: Person, tmp_path: Path
) -> None:
    client, tokens = person
    store = Sqlite(tmp_path / "store")
    source = client.source(store=store, subject="ann")
    source.log_in(tokens)
    age(store, source)
    before = generic.counters["token_requests"]
    gate = time.time() + 0.3

    def child() -> None:
        while time.time() < gate:
            time.sleep(0.001)
        assert source.token().access_token != tokens.access_token

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: in_child(child), range(4))) == [0] * 4
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)


def test_new_tokens_are_stored_before_they_are_returned(person: Person) -> None:
    client, tokens = person
    store = MemoryStore()
    seen: list[bool] = []

    def check_stored(new: oauth_core.Tokens) -> None:
        [(_, record)] = store.records.values()
        seen.append(str(new.refresh_token) in record)

    source = client.source(expired(tokens), store=store, subject="ann", on_tokens=check_stored)
    source.token()
    assert seen == [True]


def test_an_ended_grant_is_ended_for_all_workers_after_one_request(
    generic: Twin, person: Person
) -> None:
    client, tokens = person
    store = MemoryStore()
    first, one, two = (client.source(store=store, subject="ann") for _ in range(3))
    first.log_in(tokens)
    age(store, first)
    client.refresh(tokens=tokens)
    before = generic.counters["token_requests"]
    for source in (one, two):
        with pytest.raises(oauth_core.DeniedError) as caught:
            source.token()
        assert (caught.value.code, caught.value.advice) == ("denied.invalid_grant", "reauthorize")
    assert generic.counters["token_requests"] - before == 1


def test_a_record_of_another_grant_is_rejected(person: Person) -> None:
    client, tokens = person
    store = MemoryStore()
    client.source(store=store, subject="ann").log_in(tokens)
    [ann] = store.records.values()
    seen: list[str] = []

    class Mixed(MemoryStore):
        def load(self, key: str, /) -> tuple[int, str] | None:
            seen.append(key)
            return ann

    with pytest.raises(oauth_core.UntrustedError) as caught:
        client.source(store=Mixed(), subject="ben").token()
    assert caught.value.code == "stored.grant"
    assert seen and seen[0] not in store.records


def test_without_a_lease_no_refresh_is_sent_and_the_failing_store_is_reported(
    generic: Twin, client: oauth_core.Client
) -> None:
    class Broken(MemoryStore):
        def load(self, key: str, /) -> tuple[int, str] | None:
            raise OSError("redis://:secret-of-the-store@example")

    source = client.source(store=Broken(), subject="ann")
    with pytest.raises(oauth_core.LostError) as caught:
        source.token()
    assert caught.value.endpoint == "store"
    assert "secret-of-the-store" not in f"{caught.value}{caught.value.__cause__}"
    assert generic.counters["token_requests"] == 0
    # The client's own grant has no refresh token that two workers could spend: its renewals continue.
    assert client.client_credentials(store=Broken()).token().access_token
    assert generic.counters["token_requests"] == 1


def test_a_malformed_lease_is_not_accepted(generic: Twin, person: Person) -> None:
    class Odd(MemoryStore):
        def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
            return -1.0

    client, tokens = person
    store, odd = MemoryStore(), Odd()
    first = client.source(store=store, subject="ann")
    first.log_in(tokens)
    age(store, first)
    odd.records = store.records
    before = generic.counters["token_requests"]
    with pytest.raises(oauth_core.LostError):
        client.source(store=odd, subject="ann").token()
    assert generic.counters["token_requests"] == before


def test_an_invalid_store_or_store_result_is_reported(client: oauth_core.Client) -> None:
    class Odd(MemoryStore):
        async def load(self, key: str, /) -> Any:  # type: ignore[override]
            return None

    with pytest.raises(TypeError, match="callable load"):
        client.client_credentials(store=object())  # type: ignore[arg-type]
    with pytest.warns(RuntimeWarning, match="never awaited"), pytest.raises(oauth_core.LostError):
        client.source(store=Odd(), subject="ann").token()  # type: ignore[arg-type]
    with pytest.raises(oauth_core.MisuseError) as caught:
        client.source(store=MemoryStore(), subject="nobody").token()
    assert caught.value.code == "grant.no_refresh_token"
    with pytest.raises(oauth_core.MisuseError) as caught:
        client.source(reuse="perhaps")  # type: ignore[arg-type]
    assert caught.value.code == "argument.invalid"


def test_a_refresh_token_can_be_imported_as_a_grant(person: Person) -> None:
    client, tokens = person
    bare = tokens.refresh_token
    assert bare is not None
    grant = client.tokens_from_refresh_token(bare, scope=["read", "offline_access"])
    assert (grant.access_token, grant.refresh_token) == ("", bare)
    assert (grant.issuer, grant.client_id) == (client.server.issuer, client.client_id)
    assert set(grant.scope) == {"read", "offline_access"} and bare not in repr(grant)
    store = MemoryStore()
    with client.source(store=store, subject="ann") as source:
        source.log_in(oauth_core.Tokens.deserialize(grant.serialize()))
        assert source.token().access_token != ""
    for wrong in ("", " r "):
        with pytest.raises(oauth_core.MisuseError) as caught:
            client.tokens_from_refresh_token(wrong)
        assert caught.value.code == "argument.invalid"
