"""Bound tokens at npm's oidc-provider, whose nonces change while they are in use (RFC 9449 sections 8 and 9)."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
from conftest import ROOT, process
from test_identity import CALLBACK, Browser

import oauth_core
import oauth_core.httpx
import oauth_core.requests

CALLERS = 50


class Server:
    """The server, its counters, and a signed-in user."""

    def __init__(self, said: Any) -> None:
        self.issuer = said["issuer"]
        self.origins = [self.issuer]
        self.client = oauth_core.Client(
            oauth_core.discover(self.issuer, transport="loopback_http"),
            client_id="security",
            client_auth=oauth_core.PrivateKeyJwt(said["clients"]["security"]["private_key"], alg="ES256"),
            dpop_key=oauth_core.DpopKey.generate(),
        )
        flow = self.client.begin_authorization(
            redirect_uri=CALLBACK, scope="openid offline_access", push="always"
        )
        self.tokens = self.client.redeem(flow, Browser().open(flow.url))
        self.source = self.client.source(self.tokens)

    def control(self, what: str) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.issuer}/_{what}", method="POST"))

    def counts(self) -> Counter[str]:
        with urllib.request.urlopen(f"{self.issuer}/_counters") as reply:
            return Counter(json.load(reply))

    def during(self, work: Callable[[], Any]) -> Counter[str]:
        before = self.counts()
        work()
        return self.counts() - before

    @property
    def api(self) -> str:
        return f"{self.issuer}/me"

    def call(self) -> None:
        assert self.source.get(self.api, origins=self.origins).json()["sub"] == "somebody"


@pytest.fixture
def server() -> Iterator[Server]:
    folder = ROOT / "tests/interop/oidc-provider"
    with process(["env", "ACCESS_TOKEN_SECONDS=600", "node", "fapi.mjs"], folder) as said:
        yield Server(said)


def test_the_nonce_of_the_server_may_change_while_tokens_are_in_use(server: Server) -> None:
    server.call()

    # All nonces replaced at once: the first caller is challenged, and all others have the new nonce, whatever library they use.
    server.control("nonces")
    assert server.during(server.call) == {"use_dpop_nonce_at_api": 1}

    def call_with_httpx() -> None:
        auth = oauth_core.httpx.Auth(server.source, origins=server.origins)
        with httpx.Client(auth=auth) as http:
            assert http.get(server.api).status_code == 200
        again = oauth_core.requests.Auth(server.source, origins=server.origins)
        assert requests.get(server.api, auth=again, timeout=10).status_code == 200
        assert asyncio.run(server.client.auserinfo(tokens=server.tokens, subject="somebody")).subject

    assert server.during(call_with_httpx) == {}
    # The same holds at the token endpoint, which has its own nonces.
    tokens = server.source.token()
    assert server.during(lambda: server.source.renew(tokens)) == {"refreshes": 1, "use_dpop_nonce": 1}
    tokens = server.source.token()
    assert server.during(lambda: server.source.renew(tokens)) == {"refreshes": 1}

    def six_minutes() -> None:
        for _ in range(6):
            server.control("advance/60")
            server.call()

    # Nonces replaced over time: each response contains the next one, and no request is rejected after the first has expired.
    assert server.during(six_minutes) == {}


def test_a_plugin_retries_with_the_new_nonce(server: Server) -> None:
    auth = oauth_core.httpx.Auth(server.source, origins=server.origins)
    for again in (1, 1, 0):
        if again:
            server.control("nonces")
        with httpx.Client(auth=auth) as http:
            told = server.during(lambda: http.get(server.api).raise_for_status())  # noqa: B023
        assert told == Counter(use_dpop_nonce_at_api=again) + Counter()


def test_fifty_callers_that_need_new_nonces_share_one_refresh(server: Server) -> None:
    server.call()
    server.control("nonces")
    server.control("expire")
    barrier = threading.Barrier(CALLERS)

    def call(_: int) -> None:
        barrier.wait()
        server.call()

    def crowd() -> None:
        with ThreadPoolExecutor(CALLERS) as threads:
            list(threads.map(call, range(CALLERS)))

    told = server.during(crowd)
    # The token request is repeated once with the nonce; each caller of the API is challenged at most once.
    assert 1 <= told.pop("use_dpop_nonce_at_api") <= CALLERS
    assert told == {"refreshes": 1, "use_dpop_nonce": 1}
