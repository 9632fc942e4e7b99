"""Encrypted records in stores."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Union

import pytest
import worker
from conftest import Twin
from test_store import MemoryStore, Person
from test_stores import config_of, long_ago, read_reports

import oauth_core
from oauth_core import stores

SealingKey = Union[bytes, str]

OLD, NEW = bytes([1]) * 32, bytes([2]) * 32


def text_of(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def read_record_file(folder: Path) -> str:
    [file] = folder.glob("grant-*.json")
    return file.read_text()


def test_two_processes_share_a_sealed_file_and_no_token_is_readable_in_it(generic: Twin, tmp_path: Path) -> None:
    grants = tmp_path / "grants"
    config = config_of(generic, ("sealed", str(grants)), tmp_path, f"{generic.base}/token")
    _, tokens = long_ago(config)
    (tmp_path / "go").touch()
    before = generic.counters["token_requests"]
    command = [sys.executable, worker.__file__, json.dumps(config)]
    two = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in two] == [0, 0]
    one, other = read_reports(tmp_path)
    assert one == other and len(one) == 1
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)
    fresh = worker.source_of(config).token()
    assert fresh.access_token != tokens.access_token
    stored = read_record_file(grants)
    for secret in (fresh.access_token, str(fresh.refresh_token), text_of(worker.KEY)):
        assert secret not in stored
    # A control: an unsealed store has the token in its file, so the search above would have found it.
    plain = stores.FileStore(tmp_path / "plain")
    worker.client_of(config).source(store=plain, subject="ann").log_in(fresh)
    assert fresh.access_token in read_record_file(tmp_path / "plain")


def test_a_wrong_key_opens_no_record_and_overwrites_none(person: Person, tmp_path: Path) -> None:
    client, tokens = person
    files = stores.FileStore(tmp_path / "grants")
    source = client.source(store=stores.SealedStore(files, NEW), subject="ann")
    source.log_in(tokens)
    stored = read_record_file(tmp_path / "grants")
    wrong = stores.SealedStore(files, OLD)
    other = client.source(store=wrong, subject="ann")
    for ask in (other.token, lambda: wrong.load(str(source.key))):
        with pytest.raises(oauth_core.UntrustedError) as caught:
            ask()
        error = caught.value
        assert (error.code, error.endpoint) == ("stored.sealed", "store")
        for secret in (tokens.access_token, text_of(OLD), text_of(NEW)):
            assert secret not in f"{error}{error.__cause__}"
    assert read_record_file(tmp_path / "grants") == stored
    assert wrong.remove(str(source.key))
    assert files.keys() == []


def test_a_record_sealed_with_an_old_key_is_resealed(tmp_path: Path) -> None:
    files = stores.FileStore(tmp_path)
    first = stores.SealedStore(files, text_of(OLD)).save("k", "text", 0)
    assert first
    both = stores.SealedStore(files, NEW, old=[os.urandom(32), OLD])
    assert both.load("k") == (first, "text")
    with pytest.raises(oauth_core.UntrustedError):
        stores.SealedStore(files, NEW).load("k")
    second = both.save("k", "text", first)
    assert second and second > first
    assert stores.SealedStore(files, text_of(NEW)).load("k") == (second, "text")
    with pytest.raises(oauth_core.UntrustedError) as caught:
        stores.SealedStore(files, OLD).load("k")
    assert caught.value.code == "stored.sealed"


def test_any_store_can_be_sealed(person: Person) -> None:
    client, tokens = person

    class Removing(MemoryStore):
        def remove(self, key: str, /) -> bool:
            return self.records.pop(key, None) is not None

    for memory in (MemoryStore(), Removing()):
        sealed = stores.SealedStore(memory, NEW)
        source = client.source(store=sealed, subject="ann")
        source.log_in(tokens)
        [(version, record)] = memory.records.values()
        assert version == 1 and tokens.access_token not in record
        again = client.source(store=stores.SealedStore(memory, NEW), subject="ann")
        assert again.token().access_token == tokens.access_token
        # A seal on a seal opens from outside in.
        twice = stores.SealedStore(stores.SealedStore(memory, OLD), NEW)
        assert twice.save("k", "text", 0) == 1
        assert twice.load("k") == (1, "text")
        if isinstance(memory, Removing):
            assert twice.remove("k") is True
            assert twice.remove("k") is False
        else:
            # Three verbs are enough to remove a record.
            assert twice.remove("k") is True
            assert twice.load("k") == (2, "")
            assert twice.remove("k") is False


@pytest.mark.parametrize(
    "key",
    [NEW[1:], NEW + b"2", b"", text_of(NEW)[1:], text_of(NEW) + "=", "k3y!" * 11, ""],
    ids=["short", "long", "no bytes", "short text", "padded", "not base64", "no text"],
)
def test_an_invalid_key_is_reported_without_showing_it(tmp_path: Path, key: SealingKey) -> None:
    files = stores.FileStore(tmp_path)
    cases: list[tuple[SealingKey, list[SealingKey]]] = [(key, []), (NEW, [OLD, key])]
    for current, old in cases:
        with pytest.raises(oauth_core.MisuseError) as caught:
            stores.SealedStore(files, current, old=old)
        assert caught.value.code == "key.sealing"
        assert not key or repr(key)[2:-1] not in str(caught.value)


def test_an_argument_of_an_invalid_type_is_rejected(tmp_path: Path) -> None:
    files = stores.FileStore(tmp_path)
    with pytest.raises(TypeError, match="bytes, a str, a SealingKey, or an object with data_key"):
        stores.SealedStore(files, 7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        stores.SealedStore(files, NEW, old=text_of(OLD))
    with pytest.raises(TypeError, match="a store must have a callable load"):
        stores.SealedStore(object(), NEW)  # type: ignore[arg-type]
    assert repr(stores.SealedStore(files, NEW)) == "<oauth_core.stores.SealedStore>"


def test_reseal_reports_the_records_that_no_key_opens(tmp_path: Path) -> None:
    files = stores.FileStore(tmp_path)
    files.save("plain", "text", 0)
    stores.SealedStore(files, OLD).save("old", "text", 0)
    stores.SealedStore(files, bytes(32)).save("lost", "text", 0)
    sealed = stores.SealedStore(files, NEW, old=[OLD])
    assert sealed.reseal() == (1, ["lost", "plain"])
    assert stores.SealedStore(files, NEW, old=[OLD], plain="accept").reseal() == (1, ["lost"])
    new = stores.SealedStore(files, NEW)
    for name in ("plain", "old"):
        entry = new.load(name)
        assert entry is not None and entry[1] == "text"
    with pytest.raises(ValueError, match="plain"):
        stores.SealedStore(files, NEW, plain="maybe")  # type: ignore[arg-type]


def test_record_keys_can_be_hidden(tmp_path: Path) -> None:
    files = stores.FileStore(tmp_path)
    sealed = stores.SealedStore(files, NEW, names=OLD)
    assert sealed.save("anna", "text", 0, due=1)
    [name] = files.keys()
    assert "anna" not in name and len(name) == 43
    assert sealed.scan() == (["anna"], None)
    assert sealed.due(2, 9) == ["anna"]


def test_a_login_replaces_a_record_that_no_key_opens(person: Person, tmp_path: Path) -> None:
    client, tokens = person
    files = stores.FileStore(tmp_path)
    client.source(store=stores.SealedStore(files, OLD), subject="ann").log_in(tokens)
    source = client.source(store=stores.SealedStore(files, NEW), subject="ann")
    with pytest.raises(oauth_core.UntrustedError) as error:
        source.token()
    assert error.value.code == "stored.sealed"
    source.log_in(tokens)
    assert source.token().access_token == tokens.access_token
