"""Servers with a different clock.

A DPoP proof rejected for its time is created again, with the time of the Date header (RFC 9449 section 11.1).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httpx
import jwt
import pytest
import requests
from conftest import Answer, StubServer, reply

import oauth_core
import oauth_core.httpx
import oauth_core.requests

HOUR = 3600


class SkewedServer:
    """A token endpoint and an API whose clock is `ahead` seconds fast, and `drift` seconds more after each refusal."""

    def __init__(self, ahead: int, drift: int = 0) -> None:
        self.ahead = ahead
        self.drift = drift
        self.seen: list[tuple[str, int]] = []

    def __call__(self, request: Any) -> None:
        server_time = int(time.time())
        server_clock = server_time + self.ahead
        issued_at = jwt.decode(request.headers["DPoP"], options={"verify_signature": False})["iat"]
        is_token = request.path == "/token"
        if abs(issued_at - server_clock) <= 60:
            response_body: dict[str, Any] = {"access_token": "a~t", "token_type": "DPoP", "expires_in": 600}
            status, body, more = 200, response_body if is_token else {"well": True}, {}
        else:
            self.ahead += self.drift
            status, body = 400 if is_token else 401, {"error": "invalid_dpop_proof"}
            more = {} if is_token else {"WWW-Authenticate": 'DPoP error="invalid_dpop_proof"'}
        self.seen.append((request.path, status))
        request.date_time_string = lambda: formatdate(server_clock, usegmt=True)
        reply(status, json.dumps(body).encode(), content_type="application/json", **more)(request)


def source_at(base: str) -> Any:
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    client = oauth_core.Client(
        oauth_core.Server.from_metadata(base, metadata, transport="loopback_http"),
        client_id="id",
        client_auth=oauth_core.ClientSecretBasic("s" * 32),
        dpop_key=oauth_core.DpopKey.generate(),
    )
    return client.client_credentials()


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_the_clock_of_the_server_is_learned_from_one_rejected_proof(
    plain: Callable[[Answer], StubServer], ahead: int
) -> None:
    for way in ("own", "httpx", "requests"):
        server = SkewedServer(ahead)
        base = plain(server).base
        source = source_at(base)

        def call() -> Any:
            url, origins = f"{base}/things", [base]
            if way == "own":
                return source.get(url, origins=origins).json()
            if way == "requests":
                auth = oauth_core.requests.Auth(source, origins=origins)
                return requests.get(url, auth=auth, timeout=10).json()
            with httpx.Client(auth=oauth_core.httpx.Auth(source, origins=origins)) as http:
                return http.get(url).json()

        assert [call(), call()] == [{"well": True}] * 2, way
        # Each side has refused one proof, and none since.
        assert server.seen == [
            ("/token", 400),
            ("/token", 200),
            ("/things", 401),
            ("/things", 200),
            ("/things", 200),
        ], way


def test_a_second_rejection_of_the_proof_by_the_token_endpoint_is_an_error(
    plain: Callable[[Answer], StubServer]
) -> None:
    """A clock that changes with each reply would otherwise cause endless retries."""
    server = SkewedServer(HOUR, drift=HOUR)
    source = source_at(plain(server).base)
    with pytest.raises(oauth_core.DeniedError) as error:
        source.token()
    assert error.value.code == "denied.invalid_dpop_proof"
    assert server.seen == [("/token", 400)] * 2


def test_a_second_rejection_of_the_proof_by_the_api_is_returned(plain: Callable[[Answer], StubServer]) -> None:
    server = SkewedServer(0)
    base = plain(server).base
    source = source_at(base)
    source.token()
    server.ahead = server.drift = HOUR
    server.seen.clear()
    auth = oauth_core.httpx.Auth(source, origins=[base])
    with httpx.Client(auth=auth) as http:
        assert http.get(f"{base}/things").status_code == 401
    assert server.seen == [("/things", 401)] * 2
