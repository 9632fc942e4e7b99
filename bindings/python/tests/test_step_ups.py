"""The tokens of step-ups beside the ordinary ones: eviction and logout."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from conftest import Answer, StubServer, reply, server_at

import oauth_core
from oauth_core import stores


class Stage:
    """A server that revokes tokens, or cannot."""

    def __init__(self, plain: Callable[[Answer], StubServer]) -> None:
        self.status = 200
        self.plain = plain(lambda handler: reply(self.status, b"{}", content_type="application/json")(handler))
        self.client = oauth_core.Client(server_at(self.plain.base), client_id="app", client_secret="secret")

    def login(self, acr: str | None, name: str | None = None, age: int = 0) -> oauth_core.Tokens:
        name = name or str(acr)
        stored: dict[str, Any] = {
            "version": 1, "issuer": self.plain.base, "client_id": "app", "received_at": int(time.time()) - age,
            "access_token": f"at-{name}", "expires_in": 600, "scope": "read", "refresh_token": f"rt-{name}",
            "refresh_scope": None, "id_token": None,
        }  # fmt: skip
        if acr is not None:
            stored["answered"] = {"step_up": {"acr_values": [acr]}, "at": 1}
        return oauth_core.Tokens.deserialize(json.dumps(stored))

    def revoked(self) -> list[str]:
        return [parse_qs(body.decode())["token"][0] for _, _, _, body in self.plain.seen]


@pytest.fixture
def stage(plain: Callable[[Answer], StubServer]) -> Stage:
    return Stage(plain)


def names(grants: oauth_core.Grants) -> list[str]:
    step_ups = [grant["step_up"] for grant in grants.list()[0]]
    return sorted(acr for step_up in step_ups if step_up for acr in step_up["acr_values"])


def test_an_ended_or_expired_step_up_is_evicted_by_the_next_login(stage: Stage) -> None:
    store = stores.MemoryStore()
    grants = oauth_core.Grants(stage.client, store)
    for acr in ("ended", "expired", "kept"):
        grants.log_in("ann", stage.login(acr))
    for acr in ("ended", "expired"):
        key = grants.get("ann", step_up={"acr_values": [acr]}).key
        assert key is not None
        version, record = store.load(key) or (0, "")
        stored = json.loads(record)
        if acr == "ended":
            stored["ended"] = {"refused": "invalid_grant"}
        else:
            stored["tokens"] |= {"refresh_token": None, "received_at": 1}
        assert store.save(key, json.dumps(stored), version)
    assert names(grants) == ["ended", "expired", "kept"]
    grants.log_in("ann", stage.login("new"))
    assert names(grants) == ["kept", "new"]
    # A logout from one step-up removes it from the list, and the last one removes the list.
    for acr in ("kept", "new"):
        grants.log_out("ann", step_up={"acr_values": [acr]})
    assert store.scan()[0] == []


def test_a_failed_revocation_of_an_evicted_step_up_is_reported(stage: Stage) -> None:
    grants = oauth_core.Grants(stage.client, stores.MemoryStore())
    for number in range(8):
        grants.log_in("ann", stage.login(f"acr-{number}"))
    stage.status = 503
    with pytest.raises(oauth_core.DeniedError) as refused:
        grants.log_in("ann", stage.login("acr-8"))
    assert refused.value.code == "denied.busy"
    stored = names(grants)
    assert len(stored) == 8 and "acr-8" in stored and "acr-0" not in stored


class Interrupted:
    """A store that calls `meanwhile` before the operation with this number."""

    def __init__(self, store: stores.MemoryStore, number: int, meanwhile: Callable[[], None]) -> None:
        self.store, self.number, self.meanwhile = store, number, meanwhile
        self.count = 0

    def before_operation(self) -> None:
        self.count += 1
        if self.count == self.number:
            self.meanwhile()

    def load(self, key: str, /) -> tuple[int, str] | None:
        self.before_operation()
        return self.store.load(key)

    def save(self, key: str, record: str, version: int, /) -> int | None:
        self.before_operation()
        return self.store.save(key, record, version)

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        # Releases of leases are not counted.
        if seconds:
            self.before_operation()
        return self.store.lease(key, holder, seconds)

    def remove(self, key: str, /) -> bool:
        self.before_operation()
        return self.store.remove(key)


@pytest.mark.parametrize("first", ["log_in", "log_out"])
def test_no_step_up_tokens_remain_after_a_concurrent_login_and_logout(stage: Stage, first: str) -> None:
    for number in range(1, 100):
        store = stores.MemoryStore()
        others = oauth_core.Grants(stage.client, store)
        others.log_in("ann", stage.login(None))
        verbs: dict[str, Callable[[oauth_core.Grants], None]] = {
            "log_in": lambda grants: grants.log_in("ann", stage.login("phr")),
            "log_out": lambda grants: grants.log_out("ann"),
        }
        second = verbs["log_out" if first == "log_in" else "log_in"]
        interrupted = Interrupted(store, number, lambda: second(others))
        try:
            verbs[first](oauth_core.Grants(stage.client, interrupted))
        except oauth_core.OAuthError as error:
            assert error.code == "grant.no_refresh_token"
            assert "rt-phr" in stage.revoked()
        key = others.get("ann", step_up={"acr_values": ["phr"]}).key
        assert key is not None
        _, record = store.load(key) or (0, "")
        _, listed = store.load(f"step-ups:{others.get('ann').key}") or (0, "")
        assert not record or "phr" in listed, number
        others.log_out("ann")
        assert store.scan()[0] == [], number
        stage.plain.seen.clear()
        if interrupted.count < number:
            return


@pytest.mark.parametrize("before", ["expired", "removed"])
@pytest.mark.parametrize("first", ["anew", "room"])
def test_a_login_is_not_ended_by_another_workers_eviction(stage: Stage, first: str, before: str) -> None:
    for number in range(1, 100):
        store = stores.MemoryStore()
        others = oauth_core.Grants(stage.client, store)
        others.log_in("ann", stage.login("phr"))
        key = others.get("ann", step_up={"acr_values": ["phr"]}).key
        assert key is not None
        version, record = store.load(key) or (0, "")
        if before == "expired":
            stored = json.loads(record)
            stored["tokens"] |= {"refresh_token": None, "received_at": 1}
            assert store.save(key, json.dumps(stored), version)
        else:
            assert store.remove(key)
        stage.plain.seen.clear()
        verbs: dict[str, Callable[[oauth_core.Grants], None]] = {
            "anew": lambda grants: grants.log_in("ann", stage.login("phr", "anew")),
            "room": lambda grants: grants.log_in("ann", stage.login("mfa")),
        }
        second = verbs["room" if first == "anew" else "anew"]
        # The second starts in the middle of the first, and may have to wait for it.
        second_call = Thread(target=lambda: second(oauth_core.Grants(stage.client, store)))

        def start_second() -> None:
            second_call.start()
            second_call.join(0.05)

        interrupted = Interrupted(store, number, start_second)
        verbs[first](oauth_core.Grants(stage.client, interrupted))
        if interrupted.count < number:
            return
        second_call.join(20)
        assert not second_call.is_alive()
        source = oauth_core.Grants(stage.client, store).get("ann", step_up={"acr_values": ["phr"]})
        assert source.token().access_token == "at-anew", number
        assert names(others) == ["mfa", "phr"], number
        assert "rt-anew" not in stage.revoked(), number


def test_entries_that_a_crashed_worker_listed_but_never_stored_are_evicted_first(stage: Stage) -> None:
    store = stores.MemoryStore()
    grants = oauth_core.Grants(stage.client, store)
    grants.log_in("ann", stage.login("first"))
    list_key = f"step-ups:{grants.get('ann').key}"
    version, record = store.load(list_key) or (0, "")
    (one,) = json.loads(record)
    listed = [one] + [one | {"acr_values": [f"dead-{number}"]} for number in range(7)]
    assert store.save(list_key, json.dumps(listed), version)
    # The last of them is in use: its lease is held.
    lease_key = f"step-ups:{grants.get('ann', step_up={'acr_values': ['dead-6']}).key}"
    assert not store.lease(lease_key, "another", 10)
    grants.log_in("ann", stage.login("next"))
    _, record = store.load(list_key) or (0, "")
    assert [one["acr_values"] for one in json.loads(record)] == [["first"], ["dead-6"], ["next"]]
    assert names(grants) == ["first", "next"]


class Failing:
    """A store that fails while it is down."""

    def __init__(self, store: stores.MemoryStore) -> None:
        self.store, self.is_down = store, False

    def store_if_up(self) -> stores.MemoryStore:
        if self.is_down:
            raise OSError("down")
        return self.store

    def load(self, key: str, /) -> tuple[int, str] | None:
        return self.store_if_up().load(key)

    def save(self, key: str, record: str, version: int, /) -> int | None:
        return self.store_if_up().save(key, record, version)

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        return self.store_if_up().lease(key, holder, seconds)

    def remove(self, key: str, /) -> bool:
        return self.store_if_up().remove(key)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_login_not_yet_stored_is_discarded_by_a_logout(stage: Stage, where: str) -> None:
    store = stores.MemoryStore()
    failing = Failing(store)
    here, elsewhere = oauth_core.Grants(stage.client, failing), oauth_core.Grants(stage.client, store)
    failing.is_down = True
    with pytest.raises(oauth_core.LostError) as refused:
        here.log_in("ann", stage.login(None, "late", 0 if where == "here" else 5))
    assert refused.value.endpoint == "store"
    if where == "here":
        failing.is_down = False
    (here if where == "here" else elsewhere).log_out("ann")
    failing.is_down = False
    with pytest.raises(oauth_core.OAuthError) as gone:
        for _ in range(100):
            here.get("ann").token()
            time.sleep(0.1)
    assert gone.value.code == "grant.no_refresh_token"
    assert stage.revoked() == ["rt-late"]
    assert store.scan()[0] == []
