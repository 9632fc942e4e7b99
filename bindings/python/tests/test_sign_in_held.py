"""Two workers with one sign-in, whose refresh token is exchanged for an identity assertion."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from conftest import Answer, StubServer, reply, server_at

import oauth_core
from oauth_core import stores


def jwt(typ: str, **claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'ES256', 'typ': typ})}.{part(claims)}.c2ln"


class IdentityProvider:
    """It rotates refresh tokens, issues no second ID token, and would revoke a sign-in whose refresh token is used twice."""

    def __init__(self, plain: Callable[[Answer], StubServer]) -> None:
        self.lock = threading.Lock()
        self.in_use: set[str] = set()
        self.spent: set[str] = set()
        self.twice: list[str] = []
        self.assertions = 0
        self.audience = ""
        self.plain = plain(self.respond)
        self.base = self.plain.base
        self.takes = 0.3
        # An exchange sets the first, and is answered once the other is set.
        self.exchanging, self.answered = threading.Event(), threading.Event()
        self.answered.set()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        form = parse_qs(self.plain.seen[-1][3].decode())
        refreshed = form.get("refresh_token")
        token = (refreshed or form["subject_token"])[0]
        with self.lock:
            if token in self.spent or token in self.in_use:
                self.twice.append(token)
            self.in_use.add(token)
        if not refreshed:
            self.exchanging.set()
            assert self.answered.wait(60)
        time.sleep(self.takes)
        response_body: dict[str, Any]
        with self.lock:
            self.in_use.discard(token)
            if refreshed:
                self.spent.add(token)
                response_body = {"access_token": f"a{len(self.spent)}", "token_type": "Bearer", "expires_in": 600}
                response_body["refresh_token"] = f"r{len(self.spent)}"
            else:
                self.assertions += 1
                assertion = jwt("oauth-id-jag+jwt", aud=self.audience, exp=4_000_000_000)
                response_body = {"access_token": assertion, "token_type": "N_A", "expires_in": 300}
                response_body["issued_token_type"] = "urn:ietf:params:oauth:token-type:id-jag"
        reply(200, json.dumps(response_body).encode(), content_type="application/json")(handler)


def login_at(issuer: str) -> oauth_core.Tokens:
    # Its ID token has expired since.
    received = int(time.time()) - 100
    login = {
        "version": 1, "issuer": issuer, "client_id": "app", "received_at": received, "access_token": "a0",
        "expires_in": 600, "scope": "openid", "refresh_token": "r0", "refresh_scope": None,
        "id_token": jwt("JWT", aud="app", exp=received + 50),
    }  # fmt: skip
    return oauth_core.Tokens.deserialize(json.dumps(login))


class Stage:
    """An identity provider, and another server that takes its assertions."""

    def __init__(self, plain: Callable[[Answer], StubServer]) -> None:
        self.idp = IdentityProvider(plain)
        token = json.dumps({"access_token": "there", "token_type": "Bearer", "expires_in": 600}).encode()
        other = plain(reply(200, token, content_type="application/json"))
        self.idp.audience = other.base
        self.client = oauth_core.Client(server_at(self.idp.base), client_id="app", client_secret="secret")
        self.resource_client = oauth_core.Client(server_at(other.base), client_id="app", client_secret="secret")
        self.login = login_at(self.idp.base)

    def exchange(self, sign_in: Any) -> str:
        return self.resource_client.source(identity_provider=self.client, sign_in=sign_in).token().access_token


class WrappedGrant:
    """A custom source, which names the grant whose tokens it returns."""

    def __init__(self, grant: oauth_core.GrantSource) -> None:
        self.grant = grant

    def token(self) -> oauth_core.Tokens:
        return self.grant.token()

    def renew(self, tokens: oauth_core.Tokens, /) -> oauth_core.Tokens:
        return self.grant.renew(tokens)

    def invalidate(self, tokens: oauth_core.Tokens, /) -> None:
        self.grant.invalidate(tokens)


@pytest.mark.parametrize("wrapped", [lambda grant: grant, WrappedGrant], ids=["grant", "own"])
def test_two_workers_never_use_one_refresh_token_concurrently(
    plain: Callable[[Answer], StubServer], tmp_path: Path, wrapped: Callable[[oauth_core.GrantSource], Any]
) -> None:
    stage = Stage(plain)
    store = stores.FileStore(tmp_path / "grants")
    first = stage.client.source(store=store, subject="ann")
    first.log_in(stage.login)
    second = stage.client.source(store=store, subject="ann")
    access_tokens: list[str] = []

    def exchange_in_thread(sign_in: oauth_core.GrantSource) -> None:
        access_tokens.append(stage.exchange(wrapped(sign_in)))

    workers = [threading.Thread(target=exchange_in_thread, args=(sign_in,)) for sign_in in (first, second)]
    for worker in workers:
        worker.start()
    # An API refuses the access token while one of them presents the refresh token.
    time.sleep(0.45)
    second.renew(second.token())
    for worker in workers:
        worker.join()
    assert access_tokens == ["there"] * 2
    assert stage.idp.assertions == 2 and len(stage.idp.spent) >= 2
    assert stage.idp.twice == []


def test_the_grant_of_a_custom_source_must_be_of_a_supported_type(plain: Callable[[Answer], StubServer]) -> None:
    stage = Stage(plain)
    custom_source = WrappedGrant(stage.client.source(stage.login))
    grant, custom_source.token = custom_source.grant, custom_source.grant.token  # type: ignore[method-assign]
    custom_source.renew = grant.renew  # type: ignore[method-assign]
    custom_source.grant = "mine"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="grant must be a GrantSource or a ResourceConnection"):
        stage.exchange(custom_source)


@pytest.mark.parametrize("shared", [True, False])
def test_successive_exchanges_renew_the_sign_in_once(
    plain: Callable[[Answer], StubServer], tmp_path: Path, shared: bool
) -> None:
    stage = Stage(plain)
    stage.idp.takes = 0.0
    if shared:
        sign_in = stage.client.source(store=stores.FileStore(tmp_path / "grants"), subject="ann")
        sign_in.log_in(stage.login)
    else:
        sign_in = stage.client.source(stage.login)
    for _ in range(8):
        assert stage.exchange(sign_in) == "there"
    assert (stage.idp.assertions, len(stage.idp.spent), stage.idp.twice) == (8, 1, [])


class KillableStore:
    """A worker's handle on a store, which it loses when it is killed."""

    def __init__(self, store: stores.MemoryStore) -> None:
        self.store = store
        self.is_killed = False

    def store_if_alive(self) -> stores.MemoryStore:
        if self.is_killed:
            raise OSError("killed")
        return self.store

    def load(self, key: str, /) -> tuple[int, str] | None:
        return self.store_if_alive().load(key)

    def save(self, key: str, record: str, version: int, /) -> int | None:
        return self.store_if_alive().save(key, record, version)

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        return self.store_if_alive().lease(key, holder, seconds)


def test_a_worker_killed_during_an_exchange_blocks_others_until_its_lease_expires(
    plain: Callable[[Answer], StubServer],
) -> None:
    stage = Stage(plain)
    stage.idp.takes = 0.0
    stage.idp.answered.clear()
    store = stores.MemoryStore()
    killable = KillableStore(store)
    local_source = stage.client.source(store=killable, subject="ann", lease=0.5)
    local_source.log_in(stage.login)
    other_source = stage.client.source(store=store, subject="ann", lease=0.5)
    exchange = threading.Thread(target=stage.exchange, args=(local_source,))
    exchange.start()
    assert stage.idp.exchanging.wait(20)
    before = len(stage.idp.spent)
    renewal = threading.Thread(target=lambda: other_source.renew(other_source.token()))
    renewal.start()
    time.sleep(1.5)
    assert len(stage.idp.spent) == before, "the lease is extended"
    killable.is_killed = True
    renewal.join(20)
    assert len(stage.idp.spent) == before + 1
    stage.idp.answered.set()
    exchange.join()
