"""A grant that a custom driver keeps fresh."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Twin, expired, server_at
from test_store import MemoryStore, Person, age

import oauth_core
from oauth_core import drive, stores

NOW = 1_750_000_000
BODY = b'{"access_token":"at-2","token_type":"Bearer","expires_in":60,"refresh_token":"rt-2"}'
REPLY = (200, [("content-type", "application/json")], BODY)


def offline() -> oauth_core.Client:
    return oauth_core.Client(server_at("http://127.0.0.1:1"), client_id="id", client_secret="s3cret")


def moment() -> tuple[float, bytes]:
    return NOW, bytes([7]) * 32


def expired_tokens() -> oauth_core.Tokens:
    stored = {
        "version": 1,
        "issuer": "http://127.0.0.1:1",
        "client_id": "id",
        "access_token": "at-1",
        "received_at": 0,
        "expires_in": 60,
        "scope": "read",
        "refresh_token": "rt-1",
        "refresh_scope": "read",
    }
    return oauth_core.Tokens.deserialize(json.dumps(stored))


def result_after(renewal: Generator[Any, Any, oauth_core.Tokens], reply: Any) -> oauth_core.Tokens:
    with pytest.raises(StopIteration) as done:
        renewal.send(reply)
    tokens: oauth_core.Tokens = done.value.value
    return tokens


def test_a_renewal_is_a_generator_of_tasks() -> None:
    keeper = offline().keeper(expired_tokens(), subject="ann", lease=9, moment=moment)
    assert keeper.ask().kind == "renew"
    assert keeper.ask().kind == "wait"
    renewal = keeper.renewal()
    assert isinstance(next(renewal), oauth_core.Load)
    login = renewal.send(None)
    assert isinstance(login, oauth_core.Save)
    assert login.version == 0 and "rt-1" in login.record and "rt-1" not in repr(login)
    assert not keeper.is_stored

    # It is stored, and as stale as before.
    assert isinstance(renewal.send(1), oauth_core.Load)
    assert keeper.is_stored
    lease = renewal.send((1, login.record))
    assert isinstance(lease, oauth_core.Lease) and lease.seconds == 9 and lease.holder
    pause = renewal.send(3.5)
    assert isinstance(pause, oauth_core.Sleep) and 0 < pause.seconds <= 3.5
    assert isinstance(renewal.send(None), oauth_core.Load)
    again = renewal.send((1, login.record))
    assert isinstance(again, oauth_core.Lease) and again.holder == lease.holder
    assert isinstance(renewal.send(None), oauth_core.Load)
    mark_save = renewal.send((1, login.record))
    assert isinstance(mark_save, oauth_core.Save) and mark_save.version == 1
    exchange = renewal.send(2)
    assert isinstance(exchange, oauth_core.Exchange)
    step = next(exchange)
    assert isinstance(step, oauth_core.Send) and b"refresh_token=rt-1" in step.body
    with pytest.raises(StopIteration):
        exchange.send(REPLY)
    landed = renewal.send(None)
    assert isinstance(landed, oauth_core.Save) and landed.version == 2
    assert "at-2" in landed.record and keeper.ask().kind == "wait"
    release = renewal.send(3)
    assert isinstance(release, oauth_core.Lease) and release.seconds == 0
    tokens = result_after(renewal, None)
    assert tokens.access_token == "at-2" and tokens.received_at.timestamp() == NOW
    turn = keeper.ask()
    assert turn.kind == "use_token" and turn.tokens is not None
    assert turn.tokens.access_token == "at-2"
    with pytest.raises(oauth_core.MisuseError) as caught:
        renewal.send(None)
    assert caught.value.code == "misuse.already_finished"


def begun(**options: Any) -> tuple[oauth_core.Keeper, oauth_core.Renewal]:
    keeper = offline().keeper(subject="ann", moment=moment, **options)
    assert keeper.ask().kind == "renew"
    renewal = keeper.renewal()
    assert isinstance(next(renewal), oauth_core.Load)
    return keeper, renewal


def test_yield_from_delegates() -> None:
    keeper, _ = begun()
    keeper.abandon()
    keeper.ask()

    def outer() -> Generator[drive.Task, drive.TaskResult, str]:
        tokens = yield from keeper.renewal()
        return tokens.access_token

    whole = outer()
    assert isinstance(next(whole), oauth_core.Load)
    with pytest.raises(oauth_core.LostError) as caught:
        whole.throw(OSError("secret-of-the-store"))
    assert caught.value.endpoint == "store"
    assert isinstance(caught.value.__cause__, OSError)
    assert "secret-of-the-store" not in str(caught.value)
    assert keeper.last_error is not None and keeper.last_error.code == "lost"


@pytest.mark.parametrize("end", ["closed", "dropped", "interrupted", "abandoned"])
def test_an_abandoned_renewal_does_not_block_others(end: str) -> None:
    keeper, renewal = begun()
    assert keeper.ask().kind == "wait"
    if end == "closed":
        renewal.close()
    elif end == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            renewal.throw(KeyboardInterrupt)
    elif end == "abandoned":
        keeper.abandon()
    del renewal
    assert keeper.ask().kind == "renew"


def test_starting_an_unrequested_renewal_is_rejected() -> None:
    keeper = offline().keeper(subject="ann")
    with pytest.raises(oauth_core.MisuseError) as caught:
        next(keeper.renewal())
    assert caught.value.code == "misuse.already_finished"


def test_an_invalid_result_is_rejected_and_can_be_corrected() -> None:
    keeper, renewal = begun()
    for nonsense in (7, "text", (1, None), (-1, "record")):
        with pytest.raises((TypeError, OverflowError)):
            renewal.send(nonsense)  # type: ignore[arg-type]
    with pytest.raises(oauth_core.MisuseError) as caught:
        renewal.send(None)
    assert caught.value.code == "grant.no_refresh_token"
    fresh = offline().keeper(subject="ann").renewal()
    with pytest.raises(TypeError, match="must pass None"):
        fresh.send(1)


def test_a_keeper_requires_a_grant_type_or_subject_which_determine_its_key() -> None:
    client = offline()
    keys = {
        client.keeper(subject="ann").key,
        client.keeper(subject="ben").key,
        client.keeper(subject="ann", scope="read").key,
        client.keeper(grant_type="client_credentials", scope="read").key,
    }
    assert len(keys) == 4
    assert client.keeper(subject="ann").key == client.source(store=MemoryStore(), subject="ann").key
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"grant_type": "password"}, "arguments.inconsistent"),
        ({"grant_type": "client_credentials", "tokens": expired_tokens()}, "arguments.inconsistent"),
        # The client's own grant has no user.
        ({"grant_type": "client_credentials", "subject": "ann"}, "arguments.inconsistent"),
        ({"subject": "ann", "reuse": "perhaps"}, "argument.invalid"),
        # Two people without a name would share a record.
        ({}, "grant.subject_missing"),
    ]
    for mistake, code in mistakes:
        with pytest.raises(oauth_core.MisuseError) as caught:
            client.keeper(**mistake)
        assert caught.value.code == code


def test_a_keeper_learns_a_record_of_the_store() -> None:
    keeper = offline().keeper(expired_tokens(), subject="ann", moment=moment)
    keeper.ask()
    renewal = keeper.renewal()
    next(renewal)
    save = renewal.send(None)
    assert isinstance(save, oauth_core.Save)
    other = offline().keeper(subject="ann", moment=moment)
    assert other.tokens is None
    other.learn(1, save.record)
    assert other.tokens is not None and other.tokens.access_token == "at-1"
    with pytest.raises(oauth_core.MisuseError) as caught:
        other.learn(2, save.record[:50])
    assert caught.value.code == "stored.malformed"


def long_ago(client: oauth_core.Client, tokens: oauth_core.Tokens, store: stores.Store) -> None:
    """An old login: the stored tokens have expired."""
    keeper = client.keeper(subject="ann")
    keeper.replace(tokens)
    with httpx.Client() as http:
        drive.keep(keeper, store, http)
    assert keeper.is_stored
    age(store, keeper)


def test_keepers_of_threads_share_one_renewal_through_a_store(
    generic: Twin, person: Person, tmp_path: Path
) -> None:
    client, tokens = person
    store = stores.FileStore(tmp_path / "grants")
    long_ago(client, tokens, store)
    before = generic.counters["token_requests"]
    keepers = [client.keeper(subject="ann") for _ in range(4)]
    with httpx.Client() as http, ThreadPoolExecutor(32) as pool:
        asked = [pool.submit(drive.keep, keepers[n % 4], store, http) for n in range(32)]
        access_tokens = {thread.result().access_token for thread in asked}
    assert len(access_tokens) == 1 and tokens.access_token not in access_tokens
    # A source over the same store has the same grant.
    assert client.source(store=store, subject="ann").token().access_token in access_tokens
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)


def test_keepers_of_tasks_share_one_renewal_through_a_store(generic: Twin, person: Person) -> None:
    client, tokens = person
    store = MemoryStore()
    long_ago(client, tokens, store)
    before = generic.counters["token_requests"]

    async def main() -> set[str]:
        keepers = [client.keeper(subject="ann") for _ in range(4)]
        async with httpx.AsyncClient() as http:
            asked = [drive.akeep(keepers[n % 4], store, http) for n in range(40)]
            return {token.access_token for token in await asyncio.gather(*asked)}

    access_tokens = asyncio.run(main())
    assert len(access_tokens) == 1 and tokens.access_token not in access_tokens
    counters = generic.counters
    assert (counters["token_requests"] - before, counters["reuse_events"]) == (1, 0)


def test_cancelling_a_task_does_not_end_the_renewal(
    generic: Twin, person: Person
) -> None:
    client, tokens = person
    store = MemoryStore()
    long_ago(client, tokens, store)
    keeper = client.keeper(subject="ann")
    is_sent = threading.Event()

    class Slow(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            is_sent.set()
            await asyncio.sleep(0)
            return await super().handle_async_request(request)

    async def main() -> oauth_core.Tokens:
        async with httpx.AsyncClient(transport=Slow()) as http:
            first = asyncio.ensure_future(drive.akeep(keeper, store, http))
            while not is_sent.is_set():
                await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await drive.akeep(keeper, store, http)

    before = generic.counters["token_requests"]
    assert asyncio.run(main()).access_token != tokens.access_token
    assert generic.counters["token_requests"] - before == 1


def test_closing_the_event_loop_abandons_the_renewal(person: Person) -> None:
    client, tokens = person
    store = MemoryStore()
    long_ago(client, tokens, store)
    keeper = client.keeper(subject="ann")

    async def main() -> None:
        async with httpx.AsyncClient() as http:
            asyncio.ensure_future(drive.akeep(keeper, store, http))
            await asyncio.sleep(0)

    asyncio.run(main())
    assert keeper.ask().kind == "renew"


def test_a_keeper_works_without_a_store(generic: Twin, client: oauth_core.Client) -> None:
    keeper = client.keeper(grant_type="client_credentials", scope="read", shared=False)
    with httpx.Client() as http:
        first = drive.keep(keeper, None, http)
        assert first.scope == {"read"}
        assert drive.keep(keeper, None, http).access_token == first.access_token
        second = drive.keep(keeper, None, http, refused=first)
        assert second.access_token != first.access_token
        keeper.refuse(second)
        assert drive.keep(keeper, None, http).access_token != second.access_token
        shared = client.keeper(grant_type="client_credentials")
        with pytest.raises(TypeError, match="store must be given"):
            drive.keep(shared, None, http)
        assert shared.ask().kind == "renew"
    assert generic.counters["token_requests"] == 3


def test_a_caller_waits_for_the_renewal_of_another(client: oauth_core.Client) -> None:
    keeper = client.keeper(grant_type="client_credentials", shared=False)
    assert keeper.ask().kind == "renew"
    pauses: list[float] = []
    with httpx.Client() as http:

        def finish(seconds: float) -> None:
            pauses.append(seconds)
            renewal = keeper.renewal()
            exchange = next(renewal)
            assert isinstance(exchange, oauth_core.Exchange)
            drive.run(exchange, http)
            result_after(renewal, None)

        tokens = drive.keep(keeper, None, http, sleep=finish)
    assert pauses == [drive.POLL_INTERVAL]
    assert keeper.tokens is not None and keeper.tokens.access_token == tokens.access_token


def test_valid_tokens_are_returned_while_the_store_fails(person: Person) -> None:
    client, tokens = person
    keeper = client.keeper(tokens, subject="ann")

    class Broken(MemoryStore):
        def load(self, key: str, /) -> tuple[int, str] | None:
            raise OSError("no")

    async def later() -> oauth_core.Tokens:
        async with httpx.AsyncClient() as http:
            return await drive.akeep(client.keeper(tokens, subject="ann"), Broken(), http)

    with httpx.Client() as http:
        assert drive.keep(keeper, Broken(), http).access_token == tokens.access_token
    assert asyncio.run(later()).access_token == tokens.access_token
    assert keeper.last_error is not None and keeper.last_error.endpoint == "store"
    assert not keeper.is_stored


def test_a_refused_renewal_and_a_malformed_record_are_reported_with_their_codes(
    person: Person, tmp_path: Path
) -> None:
    client, tokens = person
    store = stores.FileStore(tmp_path / "grants")
    long_ago(client, tokens, store)
    client.refresh(tokens=tokens)
    with httpx.Client() as http:
        with pytest.raises(oauth_core.DeniedError) as denied:
            drive.keep(client.keeper(subject="ann"), store, http)
        assert denied.value.code == "denied.invalid_grant"
        [file] = (tmp_path / "grants").glob("grant-*.json")
        file.write_bytes(file.read_bytes()[:80])
        with pytest.raises(oauth_core.MisuseError) as caught:
            drive.keep(client.keeper(subject="ann"), store, http)
        assert (caught.value.code, caught.value.endpoint) == ("stored.malformed", "store")

        async def later() -> None:
            async with httpx.AsyncClient() as ahttp:
                await drive.akeep(client.keeper(subject="ann"), store, ahttp)

        with pytest.raises(oauth_core.MisuseError):
            asyncio.run(later())


def test_ctrl_c_in_the_store_abandons_the_renewal(person: Person) -> None:
    client, tokens = person
    keeper = client.keeper(expired(tokens), subject="ann")

    class Interrupted(MemoryStore):
        def load(self, key: str, /) -> tuple[int, str] | None:
            raise KeyboardInterrupt

    with httpx.Client() as http, pytest.raises(KeyboardInterrupt):
        drive.keep(keeper, Interrupted(), http)
    assert keeper.ask().kind == "renew"


def test_tasks_can_be_constructed_for_tests() -> None:
    assert oauth_core.Lease("ann", 2).seconds == 2
    assert oauth_core.Save("text", 3).version == 3
    shown = f"{oauth_core.Load()} {oauth_core.Lease('ann', 2)} {oauth_core.Save('text', 3)}"
    assert shown == "<oauth_core.Load> <oauth_core.Lease 2> <oauth_core.Save over 3>"


def extending() -> tuple[Any, list[tuple[str, float]], threading.Event]:
    memory, extended = stores.MemoryStore(), threading.Event()
    leases: list[tuple[str, float]] = []

    class Noting:
        def load(self, key: str) -> Any:
            return memory.load(key)

        def save(self, key: str, record: str, version: int) -> Any:
            return memory.save(key, record, version)

        def lease(self, key: str, holder: str, seconds: float) -> Any:
            leases.append((holder, seconds))
            if sum(seconds > 0 for _, seconds in leases) >= 4:
                extended.set()
            return memory.lease(key, holder, seconds)

    return Noting(), leases, extended


def granted() -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "application/json"}, content=BODY)


def test_a_lease_is_extended_during_a_blocking_request() -> None:
    store, leases, extended = extending()
    keeper = offline().keeper(expired_tokens(), subject="ann", lease=0.05)

    def respond(_: httpx.Request) -> httpx.Response:
        # As long as it takes until the lease was taken three times more.
        assert extended.wait(30)
        return granted()

    with httpx.Client(transport=httpx.MockTransport(respond)) as http:
        tokens = drive.keep(keeper, store, http)
    assert tokens.access_token == "at-2"
    held = [lease for lease in leases if lease[1] > 0]
    assert len(held) >= 4 and len({holder for holder, _ in held}) == 1
    assert (held[0][0], 0) in leases, "it is given back in the end"
    for thread in threading.enumerate():
        if thread.name == "oauth-core lease":
            thread.join(30)
            assert not thread.is_alive()


def test_a_lease_is_extended_during_an_async_request() -> None:
    store, leases, extended = extending()
    keeper = offline().keeper(expired_tokens(), subject="ann", lease=0.05)

    async def respond(_: httpx.Request) -> httpx.Response:
        assert await asyncio.to_thread(extended.wait, 30)
        return granted()

    async def renew_with_keeper() -> oauth_core.Tokens:
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
            return await drive.akeep(keeper, store, http)

    tokens = asyncio.run(renew_with_keeper())
    assert tokens.access_token == "at-2"
    assert 0 in [seconds for _, seconds in leases]


def test_an_attempt_record_contains_the_maximum_request_time() -> None:
    for longest, window in ((None, 55), (5, 30), (120, 145)):
        keeper = offline().keeper(
            expired_tokens(), subject="ann", moment=moment, longest_request=longest
        )
        keeper.ask()
        renewal = keeper.renewal()
        next(renewal)
        login = renewal.send(None)
        assert isinstance(login, oauth_core.Save)
        renewal.send(1)
        renewal.send((1, login.record))
        renewal.send(None)
        mark_save = renewal.send((1, login.record))
        assert isinstance(mark_save, oauth_core.Save)
        assert json.loads(mark_save.record)["attempt"]["window"] == window
        renewal.close()
