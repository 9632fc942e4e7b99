"""Logouts of one source, with a store and without one."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from conftest import Answer, StubServer, expired, reply, server_at
from servers import until
from test_process import FORKED, in_child

import oauth_core
from oauth_core import stores

Plains = Callable[[Answer], StubServer]


class RotatingServer:
    """A server that rotates refresh tokens, and its client."""

    def __init__(self, plain: Plains) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.is_revoking = True
        self.server = plain(self.answer)
        server = server_at(self.server.base)
        self.client = oauth_core.Client(server, client_id="app", client_secret="secret")

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/revoke":
            return reply(200 if self.is_revoking else 503)(handler)
        self.may_answer.wait(20)
        number = len(self.forms("/token", "grant_type"))
        tokens = {"access_token": f"new-{number}", "refresh_token": f"next-{number}"}
        body = json.dumps({**tokens, "token_type": "Bearer", "expires_in": 600}).encode()
        return reply(200, body, content_type="application/json")(handler)

    def forms(self, path: str, name: str) -> list[str]:
        forms = [parse_qs(body.decode()) for _, request_path, _, body in self.server.seen if request_path == path]
        return [form[name][0] for form in forms]

    @property
    def revoked(self) -> list[str]:
        return self.forms("/revoke", "token")

    def login(self, name: str, required: str | None = None) -> oauth_core.Tokens:
        answered = {"answered": {"step_up": {"acr_values": [required]}, "at": 1}}
        stored = {
            "version": 1, "issuer": self.server.base, "client_id": "app",
            "received_at": int(time.time()), "access_token": f"at-{name}", "expires_in": 600,
            "scope": "read", "refresh_token": f"rt-{name}", "refresh_scope": None, "id_token": None,
            **(answered if required else {}),
        }  # fmt: skip
        return oauth_core.Tokens.deserialize(json.dumps(stored))


@pytest.fixture
def world(plain: Plains) -> RotatingServer:
    return RotatingServer(plain)


def assert_logged_out(source: oauth_core.GrantSource) -> None:
    with pytest.raises(oauth_core.OAuthError) as caught:
        source.token()
    assert (caught.value.code, caught.value.advice) == ("grant.no_refresh_token", "reauthorize")


def test_a_logout_of_a_source_revokes_removes_the_record_and_is_noticed_elsewhere(
    world: RotatingServer, tmp_path: Path
) -> None:
    here, elsewhere = (
        world.client.source(store=stores.FileStore(tmp_path), subject="ann") for _ in range(2)
    )
    here.log_in(world.login("ann"))
    token = elsewhere.token()
    asyncio.run(_out(here))
    assert world.revoked == ["rt-ann"]
    assert stores.FileStore(tmp_path).scan(None)[0] == []
    assert_logged_out(here)
    # The other worker considers its token valid until an API refuses it.
    with pytest.raises(oauth_core.OAuthError) as caught:
        elsewhere.renew(token)
    assert caught.value.advice == "reauthorize"
    assert world.forms("/token", "grant_type") == []
    elsewhere.log_in(world.login("again"))
    assert elsewhere.token().access_token == "at-again"


async def _out(source: oauth_core.GrantSource) -> None:
    await source.alog_out()


@pytest.mark.filterwarnings(FORKED)
def test_a_logout_of_a_source_without_a_store_revokes_and_forgets(world: RotatingServer) -> None:
    source = world.client.source(world.login("ann"))
    source.token()
    source.log_out()
    source.log_out()
    assert world.revoked == ["rt-ann"]
    assert_logged_out(source)
    assert world.forms("/token", "grant_type") == []
    # The child of a fork does not have the tokens either.
    assert in_child(lambda: assert_logged_out(source)) == 0
    source.log_in(world.login("again"))
    assert source.token().access_token == "at-again"


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_logout_of_a_source_that_cannot_revoke_reports_it_and_logs_out_anyway(
    world: RotatingServer, is_stored: bool
) -> None:
    store = stores.MemoryStore()
    if is_stored:
        source = world.client.source(store=store, subject="ann")
        source.log_in(world.login("ann"))
    else:
        source = world.client.source(world.login("ann"))
    world.is_revoking = False
    with pytest.raises(oauth_core.OAuthError) as caught:
        source.log_out()
    assert caught.value.endpoint == "revocation"
    assert_logged_out(source)
    assert store.scan(None)[0] == []


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_logout_of_a_source_waits_for_a_running_renewal(world: RotatingServer, is_stored: bool) -> None:
    store, events = stores.MemoryStore(), list[str]()

    def hook(tokens: oauth_core.Tokens) -> None:
        events.append(tokens.access_token)

    if is_stored:
        source = world.client.source(store=store, subject="ann", on_tokens=hook)
        source.log_in(expired(world.login("ann")))
    else:
        source = world.client.source(expired(world.login("ann")), on_tokens=hook)
    # What the login of a stale token has renewed.
    count = len(events)
    token = source.token()
    world.may_answer.clear()
    asked = len(world.forms("/token", "grant_type"))
    renewing = threading.Thread(target=lambda: source.renew(token))
    renewing.start()
    until(lambda: len(world.forms("/token", "grant_type")) > asked, "no renewal")

    def leave() -> None:
        source.log_out()
        events.append("logged out")

    leaving = threading.Thread(target=leave)
    leaving.start()
    time.sleep(0.1)
    assert world.revoked == []
    world.may_answer.set()
    for thread in (renewing, leaving):
        thread.join(20)
    # The token of that renewal was revoked.
    assert world.revoked == [f"next-{asked + 1}"]
    assert events[count:][-2:] == [f"new-{asked + 1}", "logged out"]
    assert_logged_out(source)
    assert len(world.forms("/token", "grant_type")) == asked + 1


def test_a_logout_of_a_source_in_its_hook_is_refused(world: RotatingServer) -> None:
    refused: list[str] = []

    def hook(_: oauth_core.Tokens) -> None:
        with pytest.raises(oauth_core.MisuseError) as caught:
            source.log_out()
        refused.append(caught.value.code)

    source = world.client.source(expired(world.login("ann")), on_tokens=hook)
    source.token()
    assert refused == ["misuse.deadlock"]


def test_a_source_of_a_pool_logs_out_as_the_pool_does(world: RotatingServer) -> None:
    store = stores.MemoryStore()
    grants = oauth_core.Grants(world.client, store)
    grants.log_in("ann", world.login("ann"))
    for acr in ("phr", "mfa"):
        grants.log_in("ann", world.login(acr, acr))
    # A logout of a step-up ends only that grant.
    grants.get("ann", step_up={"acr_values": ["phr"]}).log_out()
    assert world.revoked == ["rt-phr"]
    grants.get("ann").token()
    grants.get("ann").log_out()
    assert sorted(world.revoked) == ["rt-ann", "rt-mfa", "rt-phr"]
    assert store.scan(None)[0] == []


def test_a_source_of_the_client_requests_a_new_token_after_its_logout(world: RotatingServer) -> None:
    source = world.client.client_credentials()
    before = source.token()
    source.log_out()
    assert len(world.revoked) == 1
    assert source.token().access_token != before.access_token
