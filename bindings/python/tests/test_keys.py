"""External keys: a key management service, or the keyring."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_store import MemoryStore, Person

import oauth_core
from oauth_core import stores

NAME, TEXT = "a-key", '{"access_token":"S3CR3T"}'


class Kms:
    """An in-memory key service that refers to each data key by a number."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.trouble: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def call(self, what: str) -> None:
        self.calls.append(what)
        assert self.open.wait(60)
        if self.trouble:
            raise self.trouble

    def data_key(self) -> tuple[str, bytes]:
        self.call("data_key")
        id = f"projects/p/keys/{len(self.keys)}"
        self.keys[id] = os.urandom(32)
        return id, self.keys[id]

    def unwrap_key(self, id: str, /) -> bytes | None:
        self.call(id)
        return self.keys.get(id)


class AsyncKms:
    """A key service whose methods are coroutines."""

    def __init__(self, kms: Kms) -> None:
        self.kms = kms

    async def data_key(self) -> tuple[str, bytes]:
        await asyncio.sleep(0)
        return self.kms.data_key()

    async def unwrap_key(self, id: str, /) -> bytes | None:
        await asyncio.sleep(0)
        return self.kms.unwrap_key(id)


def read(store: stores.SealedStore, name: str = NAME) -> str:
    entry = store.load(name)
    assert entry
    return entry[1]


@pytest.mark.parametrize("kind", [lambda kms: kms, AsyncKms], ids=["function", "coroutine"])
def test_a_service_is_called_once_per_key(kind: type[AsyncKms]) -> None:
    kms, memory = Kms(), MemoryStore()
    one, two = (stores.SealedStore(memory, kind(kms)) for _ in range(2))
    for name in ("a", "b", "c"):
        assert one.save(name, TEXT, 0)
    assert "S3CR3T" not in str(memory.records)
    assert kms.calls == ["data_key"]
    for name in ("a", "b", "c", "a"):
        assert read(two, name) == TEXT
    assert kms.calls == ["data_key", "projects/p/keys/0"]
    assert two.save("d", TEXT, 0)
    assert read(one, "d") == TEXT
    assert kms.calls[2:] == ["data_key", "projects/p/keys/1"]


def test_concurrent_threads_share_one_call_of_a_slow_key_service() -> None:
    kms, memory = Kms(), MemoryStore()
    stores.SealedStore(memory, kms).save(NAME, TEXT, 0)
    sealed = stores.SealedStore(memory, kms)
    kms.open.clear()
    with ThreadPoolExecutor(20) as pool:
        reading = [pool.submit(read, sealed) for _ in range(20)]
        while len(kms.calls) < 2:
            time.sleep(0.001)
        kms.open.set()
        assert [one.result(60) for one in reading] == [TEXT] * 20
    assert len(kms.calls) == 2


def test_a_failing_key_service_is_reported_and_the_next_call_tries_again(person: Person) -> None:
    client, tokens = person
    kms, memory = Kms(), MemoryStore()
    source = client.source(store=stores.SealedStore(memory, kms), subject="ann")
    source.log_in(tokens)
    before = dict(memory.records)
    kms.trouble = RuntimeError("secret of the service")
    other = client.source(store=stores.SealedStore(memory, kms), subject="ann")
    with pytest.raises(oauth_core.LostError, match="the key service") as caught:
        other.token()
    error = caught.value
    assert (error.code, error.endpoint) == ("lost.unsent", "store")
    assert "RuntimeError" in str(error) and "secret" not in f"{error}{error.__cause__}"
    # A caller with a valid token is not affected.
    assert source.token().access_token == tokens.access_token
    assert memory.records == before
    kms.trouble = None
    assert other.token().access_token == tokens.access_token


def test_an_unknown_key_id_is_requested_once() -> None:
    kms, memory = Kms(), MemoryStore()
    stores.SealedStore(memory, kms).save(NAME, TEXT, 0)
    kms.keys.clear()
    sealed = stores.SealedStore(memory, kms)
    for _ in range(5):
        with pytest.raises(oauth_core.UntrustedError, match="no key source has the key") as caught:
            sealed.load(NAME)
        assert caught.value.code == "stored.sealed"
    assert len(kms.calls) == 2


def test_invalid_keys_of_a_key_service_are_refused() -> None:
    class Odd(Kms):
        def __init__(self, given: object) -> None:
            super().__init__()
            self.given = given

        def data_key(self) -> tuple[str, bytes]:
            return self.given  # type: ignore[return-value]

    cases: list[tuple[object, str]] = [
        (("id", b"short"), "key.sealing"),
        (("", bytes(32)), "key.sealing"),
        (("a b", bytes(32)), "key.sealing"),
        (bytes(32), "lost.unsent"),
        (None, "lost.unsent"),
    ]
    for given, code in cases:
        memory = MemoryStore()
        with pytest.raises(oauth_core.OAuthError) as caught:
            stores.SealedStore(memory, Odd(given)).save(NAME, TEXT, 0)
        assert caught.value.code == code
        assert memory.records == {}
    with pytest.raises(TypeError, match="data_key and unwrap_key"):
        stores.SealedStore(MemoryStore(), object())  # type: ignore[arg-type]


def test_records_are_resealed_from_a_static_key_to_a_key_service_and_back() -> None:
    kms, memory, given = Kms(), Listed(), stores.SealingKey(bytes(32))
    stores.SealedStore(memory, given).save(NAME, TEXT, 0)
    assert stores.SealedStore(memory, kms, old=[given]).reseal() == (1, [])
    assert read(stores.SealedStore(memory, kms)) == TEXT
    assert stores.SealedStore(memory, given, old=[kms]).reseal() == (1, [])
    assert read(stores.SealedStore(memory, given)) == TEXT
    assert given.id in repr(given) and read(stores.SealedStore(memory, bytes(32))) == TEXT


class Listed(MemoryStore):
    """A custom store that can list its records."""

    def scan(self, cursor: str | None = None, /) -> tuple[list[str], str | None]:
        return list(self.records), None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks there")
def test_a_forked_process_calls_the_key_service_itself() -> None:
    kms, memory = Kms(), MemoryStore()
    sealed = stores.SealedStore(memory, kms)
    sealed.save(NAME, TEXT, 0)
    child = os.fork()
    if child == 0:
        kms.calls.clear()
        is_decrypted = read(sealed) == TEXT and kms.calls == ["projects/p/keys/0"]
        os._exit(0 if is_decrypted else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_the_key_service_of_the_readme_works() -> None:
    """The class is unchanged; its client encrypts by reversing the bytes."""
    readme = Path(__file__).parent.parent / "README.md"
    code = re.search(r"```python\n(import base64\n\nclass Kms:.*?)```", readme.read_text(), re.DOTALL)
    assert code
    names: dict[str, Any] = {}
    exec(code.group(1), names)  # noqa: S102

    class Refused(Exception):
        pass

    class Client:
        exceptions = SimpleNamespace(InvalidCiphertextException=Refused)

        def generate_data_key(self, *, KeyId: str, KeySpec: str) -> dict[str, bytes]:
            assert (KeyId, KeySpec) == ("alias/grants", "AES_256")
            key = os.urandom(32)
            return {"Plaintext": key, "CiphertextBlob": b"wrapped" + key[::-1]}

        def decrypt(self, *, KeyId: str, CiphertextBlob: bytes) -> dict[str, bytes]:
            assert KeyId == "alias/grants"
            if not CiphertextBlob.startswith(b"wrapped"):
                raise Refused
            return {"Plaintext": CiphertextBlob[:6:-1]}

    memory = MemoryStore()
    kms = names["Kms"](Client(), "alias/grants")
    assert stores.SealedStore(memory, kms).save(NAME, TEXT, 0)
    assert read(stores.SealedStore(memory, kms)) == TEXT
    version, record = memory.records[NAME]
    for id in ("bWFkZS11cA==", "made-up!"):
        envelope = json.loads(record) | {"key": id}
        memory.records[NAME] = version, json.dumps(envelope)
        with pytest.raises(oauth_core.UntrustedError) as caught:
            stores.SealedStore(memory, kms).load(NAME)
        assert caught.value.code == "stored.sealed"


BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:tmpdir={}</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>"""


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bus, and an unlocked keyring on it, for this process and those it starts."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "bus.conf")
        config.write_text(BUS.format(folder))
        command = ["dbus-daemon", "--nofork", "--print-address", "--config-file", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bus:
            assert bus.stdout
            monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.stdout.readline().strip())
            for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME", "HOME"):
                monkeypatch.setenv(name, folder)
            command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
            nowhere = subprocess.DEVNULL
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere
            ) as keyring:
                assert keyring.stdin
                keyring.stdin.write(b"password\n")
                keyring.stdin.close()
                try:
                    yield Path(folder)
                finally:
                    keyring.send_signal(signal.SIGKILL)
                    bus.send_signal(signal.SIGKILL)


def from_keyring(folder: Path, name: str = "seal") -> stores.SealingKey:
    """The daemon may need a moment before it answers."""
    end = time.monotonic() + 30
    while True:
        try:
            return stores.SealingKey.from_keyring(folder, service="tests", name=name)
        except oauth_core.MisuseError as error:
            if time.monotonic() > end or "no keyring can be reached" not in str(error):
                raise
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="the keyring of others is the person's own")
def test_a_keyring_key_is_created_once_for_all_processes(session: Path, tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    other = from_keyring(locks, "other")
    script = (
        "import sys; from oauth_core import stores\n"
        "print(stores.SealingKey.from_keyring(sys.argv[1], service='tests').id)"
    )
    command = [sys.executable, "-c", script, str(locks)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    ids = {process.communicate(timeout=60)[0].strip() for process in processes}
    key = from_keyring(locks)
    assert ids == {key.id} and key.id != other.id

    files = stores.FileStore(tmp_path / "grants")
    version = stores.SealedStore(files, key).save(NAME, TEXT, 0)
    again = stores.SealingKey.from_keyring(locks, service="tests")
    assert stores.SealedStore(files, again).load(NAME) == (version, TEXT)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or "S3CR3T" not in file.read_text()
    assert repr(key) == f"<oauth_core.stores.SealingKey {key.id}>"


@pytest.mark.skipif(sys.platform != "linux", reason="there is always one")
def test_an_unreachable_keyring_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bus"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        for address, why in (
            ("unix:path=/nowhere", "no keyring can be reached"),
            (f"unix:path={path}", "it gives no answer"),
        ):
            monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
            with pytest.raises(oauth_core.MisuseError, match=why) as caught:
                stores.SealingKey.from_keyring(tmp_path / "locks")
            assert (caught.value.code, caught.value.endpoint) == ("store.setup", "store")
