"""Two workers with one sign-in, whose refresh token is what an identity assertion is asked for with."""

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

from conftest import Answer, Plain, reply, server_at

import oauth_core
from oauth_core import stores


def jwt(typ: str, **claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'ES256', 'typ': typ})}.{part(claims)}.c2ln"


class IdentityProvider:
    """It rotates refresh tokens, issues no second ID token, and would revoke a sign-in whose refresh token is used twice."""

    def __init__(self, plain: Callable[[Answer], Plain]) -> None:
        self.lock = threading.Lock()
        self.in_use: set[str] = set()
        self.spent: set[str] = set()
        self.twice: list[str] = []
        self.assertions = 0
        self.audience = ""
        self.plain = plain(self.answer)
        self.base = self.plain.base

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        form = parse_qs(self.plain.seen[-1][3].decode())
        refreshed = form.get("refresh_token")
        token = (refreshed or form["subject_token"])[0]
        with self.lock:
            if token in self.spent or token in self.in_use:
                self.twice.append(token)
            self.in_use.add(token)
        time.sleep(0.3)
        said: dict[str, Any]
        with self.lock:
            self.in_use.discard(token)
            if refreshed:
                self.spent.add(token)
                said = {"access_token": f"a{len(self.spent)}", "token_type": "Bearer", "expires_in": 600}
                said["refresh_token"] = f"r{len(self.spent)}"
            else:
                self.assertions += 1
                assertion = jwt("oauth-id-jag+jwt", aud=self.audience, exp=4_000_000_000)
                said = {"access_token": assertion, "token_type": "N_A", "expires_in": 300}
                said["issued_token_type"] = "urn:ietf:params:oauth:token-type:id-jag"
        reply(200, json.dumps(said).encode(), content_type="application/json")(handler)


def test_two_workers_never_use_one_refresh_token_at_a_time(
    plain: Callable[[Answer], Plain], tmp_path: Path
) -> None:
    idp = IdentityProvider(plain)
    token = json.dumps({"access_token": "there", "token_type": "Bearer", "expires_in": 600}).encode()
    other = plain(reply(200, token, content_type="application/json"))
    idp.audience = other.base
    us = oauth_core.Client(server_at(idp.base), client_id="app", client_secret="secret")
    there = oauth_core.Client(server_at(other.base), client_id="app", client_secret="secret")
    # Its ID token has expired since.
    received = int(time.time()) - 100
    login = {
        "version": 1, "issuer": idp.base, "client_id": "app", "received_at": received, "access_token": "a0",
        "expires_in": 600, "scope": "openid", "refresh_token": "r0", "refresh_scope": None,
        "id_token": jwt("JWT", aud="app", exp=received + 50),
    }  # fmt: skip
    store = stores.FileStore(tmp_path / "grants")
    first = us.source(store=store, subject="ann")
    first.log_in(oauth_core.Tokens.deserialize(json.dumps(login)))
    second = us.source(store=store, subject="ann")
    got: list[str] = []

    def work(sign_in: oauth_core.GrantSource) -> None:
        got.append(there.source(identity_provider=us, sign_in=sign_in).token().access_token)

    workers = [threading.Thread(target=work, args=(sign_in,)) for sign_in in (first, second)]
    for worker in workers:
        worker.start()
    # An API refuses the access token while one of them presents the refresh token.
    time.sleep(0.45)
    second.renew(second.token())
    for worker in workers:
        worker.join()
    assert got == ["there"] * 2
    assert idp.assertions == 2 and len(idp.spent) >= 2
    assert idp.twice == []
