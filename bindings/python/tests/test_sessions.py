"""Many grants of one client over one store."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import CALLBACK, Twin, approve
from test_store import MemoryStore

import oauth_core
from oauth_core import stores

DAY = 24 * 3600.0


def a_login(client: oauth_core.Client) -> oauth_core.Tokens:
    flow = client.authorize(redirect_uri=CALLBACK, scope="read offline_access")
    return client.redeem(flow, approve(flow.url))


def age_stored(store: Any, key: str) -> None:
    """Changes a stored grant as if no token had been requested for two days."""
    version, record = store.load(key)
    stored = json.loads(record)
    stored["tokens"]["received_at"] -= int(2 * DAY)
    due = stored["tokens"]["received_at"] + stored["tokens"]["expires_in"]
    assert store.save(key, json.dumps(stored), version, due=due)


def test_each_user_has_a_grant_shared_by_all_workers(
    generic: Twin, client: oauth_core.Client, tmp_path: Path
) -> None:
    store = stores.SqliteStore(tmp_path / "grants.db")
    sessions = oauth_core.Grants(client, store)
    logins = {name: a_login(client) for name in ("ann", "ben")}
    sessions.log_in("ann", logins["ann"])
    asyncio.run(sessions.alog_in("ben", logins["ben"]))
    for name, tokens in logins.items():
        source = sessions.get(name)
        assert source.token().access_token == tokens.access_token
        assert source.get(f"{generic.base}/api/echo", origins=[generic.base]).status == 200
    # The client's own is another grant.
    own = sessions.get(scope="read").token()
    assert own.access_token not in {tokens.access_token for tokens in logins.values()}

    # Another worker has them too, and all of its callers share one renewal.
    elsewhere = oauth_core.Grants(client, stores.SqliteStore(tmp_path / "grants.db"))
    refreshes = generic.counters["refreshes"]
    with ThreadPoolExecutor(20) as pool:
        renewed = pool.map(lambda _: elsewhere.get("ann").renew(logins["ann"]), range(20))
    assert len({tokens.access_token for tokens in renewed}) == 1
    assert generic.counters["refreshes"] == refreshes + 1


def test_a_logout_revokes_the_tokens_and_removes_the_grant(
    generic: Twin, client: oauth_core.Client, tmp_path: Path
) -> None:
    sessions = oauth_core.Grants(client, stores.FileStore(tmp_path))
    for name in ("ann", "ben"):
        sessions.log_in(name, a_login(client))
    sessions.log_out("ann")
    assert generic.counters["revocations"] == 1
    with pytest.raises(oauth_core.OAuthError) as caught:
        sessions.get("ann").token()
    assert caught.value.advice == "reauthorize"
    assert sessions.get("ben").token().access_token
    grants, unreadable, cursor = sessions.list()
    assert [grant["subject"] for grant in grants] == ["ben"]
    assert not unreadable and cursor is None
    asyncio.run(sessions.alog_out("ben"))
    assert sessions.list()[0] == []


def test_list_returns_grants_without_secrets_and_reports_unreadable_ones(client: oauth_core.Client) -> None:
    store = stores.MemoryStore()
    sessions = oauth_core.Grants(client, store)
    tokens = a_login(client)
    sessions.log_in("ann", tokens)
    store.save("garbled", "S3CR3T", 0)
    grants, unreadable, _ = asyncio.run(sessions.alist())
    (grant,) = grants
    end = grant["expires_at"]
    assert end and abs(end - datetime.now(timezone.utc)).total_seconds() < DAY
    assert grant["has_refresh_token"] and grant["ended"] is None
    assert unreadable == [("garbled", "stored.malformed")]
    assert tokens.access_token not in repr(grants)


def test_unused_grants_are_renewed(generic: Twin, client: oauth_core.Client) -> None:
    store = stores.MemoryStore()
    before = oauth_core.Grants(client, store)
    for name in ("ann", "ben", "cem"):
        before.log_in(name, a_login(client))
    for name in ("ann", "ben"):
        age_stored(store, str(before.get(name).key))
    told: list[tuple[str | None, object]] = []
    sessions = oauth_core.Grants(
        client, store, on_renewed=lambda subject, tokens: told.append((subject, tokens))
    )
    assert sessions.renew_idle(DAY) == (2, [])
    assert generic.counters["refreshes"] == 2
    assert sorted(str(subject) for subject, _ in told) == ["ann", "ben"]
    assert all(isinstance(tokens, oauth_core.Tokens) for _, tokens in told)
    assert sessions.counters["renewed"] == 2
    assert asyncio.run(sessions.arenew_idle(DAY)) == (0, [])


def test_the_end_of_a_grant_is_reported(generic: Twin, client: oauth_core.Client) -> None:
    ended: list[tuple[str | None, oauth_core.OAuthError]] = []
    sessions = oauth_core.Grants(
        client, stores.MemoryStore(), on_ended=lambda subject, error: ended.append((subject, error))
    )
    tokens = a_login(client)
    sessions.log_in("ann", tokens)
    assert tokens.refresh_token
    client.revoke(token=tokens.refresh_token, token_type_hint="refresh_token")
    for _ in range(2):
        with pytest.raises(oauth_core.DeniedError):
            sessions.get("ann").renew(tokens)
    # A missing grant is not reported as ended.
    with pytest.raises(oauth_core.OAuthError):
        sessions.get("nobody").token()
    ((subject, error),) = ended
    assert (subject, error.code) == ("ann", "denied.invalid_grant")
    assert sessions.counters["ended"] == 1
    (grant,) = sessions.list()[0]
    assert grant["ended"] == "denied.invalid_grant"


def test_the_number_of_grants_in_memory_is_bounded(client: oauth_core.Client) -> None:
    sessions = oauth_core.Grants(client, stores.MemoryStore(), capacity=10)
    tokens = a_login(client)
    for number in range(100):
        sessions.log_in(f"person-{number}", tokens)
    assert sessions.in_memory <= 11
    assert sessions.get("person-0").token().access_token == tokens.access_token


def test_renewals_of_several_grants_complete_with_a_rate_limit(generic: Twin, client: oauth_core.Client) -> None:
    sessions = oauth_core.Grants(client, stores.MemoryStore(), per_second=20)
    logins = [a_login(client) for _ in range(5)]
    for number, tokens in enumerate(logins):
        sessions.log_in(f"person-{number}", tokens)
    with ThreadPoolExecutor(5) as pool:
        renew = pool.map(lambda n: sessions.get(f"person-{n}").renew(logins[n]), range(5))
        assert len({tokens.access_token for tokens in renew}) == 5
    assert generic.counters["refreshes"] == 5


@pytest.mark.parametrize("at_once, least", [(2, 2), (0, 3)])
def test_concurrent_renewals_are_limited(
    client: oauth_core.Client, at_once: int, least: int
) -> None:
    class Counting(MemoryStore):
        """A store that counts concurrently held leases."""

        def __init__(self) -> None:
            super().__init__()
            self.held: set[str] = set()
            self.most = 0

        def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
            left = super().lease(key, holder, seconds)
            if left is None:
                (self.held.add if seconds > 0 else self.held.discard)(key)
                self.most = max(self.most, len(self.held))
            return left

    store = Counting()
    sessions = oauth_core.Grants(client, store, at_once=at_once)
    logins = [a_login(client) for _ in range(6)]
    for number, tokens in enumerate(logins):
        sessions.log_in(f"person-{number}", tokens)

    async def renew_all() -> list[oauth_core.Tokens]:
        sources = [sessions.get(f"person-{number}") for number in range(6)]
        return await asyncio.gather(
            *(source.arenew(tokens) for source, tokens in zip(sources, logins, strict=True))
        )

    assert len({tokens.access_token for tokens in asyncio.run(renew_all())}) == 6
    assert store.most == 2 if at_once else store.most >= least


def test_drain_closes_all_sources(client: oauth_core.Client) -> None:
    sessions = oauth_core.Grants(client, stores.MemoryStore())
    tokens = a_login(client)
    sessions.log_in("ann", tokens)
    sessions.drain()
    assert sessions.get("ann").token().access_token == tokens.access_token
    with pytest.raises(oauth_core.MisuseError, match=r"token_source\.closed"):
        sessions.get("ann").renew(tokens)
    asyncio.run(sessions.adrain(timeout=1))


def test_list_and_renew_idle_of_a_store_that_cannot_list_are_rejected(client: oauth_core.Client) -> None:
    class Plain:
        def load(self, key: str, /) -> tuple[int, str] | None:
            return None

        def save(self, key: str, record: str, version: int, /) -> int | None:
            return version + 1

        def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
            return None

    sessions = oauth_core.Grants(client, Plain())
    for call in (sessions.list, lambda: sessions.renew_idle(1.0)):
        with pytest.raises(oauth_core.MisuseError) as caught:
            call()
        assert caught.value.code == "misuse.not_supported"


def store_expirations(store: Any, key: str, **members: float) -> None:
    """Changes a stored grant as if it had been received six days ago with these expiration times."""
    version, record = store.load(key)
    stored = json.loads(record)
    tokens = stored["tokens"]
    tokens["received_at"] -= int(6 * DAY)
    tokens["expires_in"] += int(6 * DAY)
    tokens |= {name: int(end) for name, end in members.items()}
    assert store.save(key, json.dumps(stored), version, due=tokens["received_at"])


def test_an_idle_grant_is_renewed_before_its_refresh_token_expires(
    generic: Twin, client: oauth_core.Client
) -> None:
    store = stores.MemoryStore()
    before = oauth_core.Grants(client, store)
    for name in ("ann", "ben"):
        before.log_in(name, a_login(client))
    now = datetime.now(timezone.utc).timestamp()
    store_expirations(store, str(before.get("ann").key), refresh_token_use_by=now + 3600)
    store_expirations(store, str(before.get("ben").key), refresh_token_use_by=now + 20 * DAY)
    refreshes = generic.counters["refreshes"]
    assert before.renew_idle(30 * DAY) == (0, [])
    sessions = oauth_core.Grants(client, store, keep_alive=DAY)
    assert sessions.renew_idle(30 * DAY) == (1, [])
    assert generic.counters["refreshes"] == refreshes + 1
    grants, _, _ = sessions.list()
    ends = {grant["subject"]: grant["refresh_token_expires_at"] for grant in grants}
    assert ends["ann"] is None and ends["ben"] is not None


def test_the_end_of_an_authorization_is_reported(client: oauth_core.Client) -> None:
    store = stores.MemoryStore()
    before = oauth_core.Grants(client, store)
    before.log_in("ann", a_login(client))
    end = datetime.now(timezone.utc).timestamp() + DAY
    store_expirations(store, str(before.get("ann").key), authorization_until=end)
    reported: list[tuple[str | None, datetime]] = []
    was_reported = threading.Event()

    def record_end(subject: str | None, end: datetime) -> None:
        reported.append((subject, end))
        was_reported.set()

    sessions = oauth_core.Grants(client, store, on_authorization_ends=record_end)
    source = sessions.get("ann")
    for _ in range(2):
        source.token()
    assert was_reported.wait(10)
    assert [(subject, int(end.timestamp())) for subject, end in reported] == [("ann", int(end))]
    assert sessions.counters["authorization_ends"] == 1
