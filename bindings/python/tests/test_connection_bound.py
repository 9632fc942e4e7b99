"""APIs that accept only tokens bound to a DPoP key (RFC 9449), and APIs without authorization."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
from conftest import Answer, StubServer, Twin, reply
from test_connection import HERE, Person, connection

import oauth_core
import oauth_core.aiohttp
import oauth_core.httpx
import oauth_core.httpx2
import oauth_core.requests
import oauth_core.stores


def by_source(api: oauth_core.ResourceConnection) -> int:
    return api.post(api.url, content=b"hello").status


async def by_coroutine(api: oauth_core.ResourceConnection) -> int:
    return (await api.apost(api.url, content=b"hello")).status


def by_httpx(api: oauth_core.ResourceConnection) -> int:
    with httpx.Client(auth=oauth_core.httpx.Auth(api)) as http:
        return http.post(api.url, content=b"hello").status_code


async def by_httpx2(api: oauth_core.ResourceConnection) -> int:
    async with httpx2.AsyncClient(auth=oauth_core.httpx2.Auth(api)) as http:
        return (await http.post(api.url, content=b"hello")).status_code


def by_requests(api: oauth_core.ResourceConnection) -> int:
    auth = oauth_core.requests.Auth(api)
    return requests.post(api.url, data=b"hello", auth=auth, timeout=30).status_code


async def by_aiohttp(api: oauth_core.ResourceConnection) -> int:
    auth = oauth_core.aiohttp.Auth(api)
    async with aiohttp.ClientSession(middlewares=[auth]) as http:
        async with http.post(api.url, data=b"hello") as response:
            return response.status


CALLERS: list[Callable[[oauth_core.ResourceConnection], Any]] = [
    by_source,
    by_coroutine,
    by_httpx,
    by_httpx2,
    by_requests,
    by_aiohttp,
]


def status_with(api: oauth_core.ResourceConnection, way: Callable[..., Any]) -> int:
    response = way(api)
    status: int = asyncio.run(response) if asyncio.iscoroutine(response) else response
    return status


def test_tokens_are_bound_to_a_dpop_key_if_the_api_requires_it(generic: Twin) -> None:
    generic.require_dpop()
    person = Person()
    api = connection(generic, person)
    for way in CALLERS:
        assert status_with(api, way) == 200, way
        # Earlier nonces are no longer valid, for the API and the server.
        generic.rotate_nonces()
    assert api.token().token_type == "DPoP"
    assert "dpop" in generic.entry("/api/echo")["headers"]
    generic.expire()
    assert status_with(api, by_httpx) == 200
    tokens = api.token()
    with ThreadPoolExecutor(50) as threads:
        renewed = threads.map(lambda _: api.renew(tokens).access_token, range(50))
    assert len(set(renewed)) == 1
    assert (generic.counters["refreshes"], len(person.pages)) == (2, 1)


def test_the_dpop_key_is_stored_with_the_connection(generic: Twin) -> None:
    generic.require_dpop()
    person, memory = Person(), oauth_core.stores.MemoryStore()
    store = oauth_core.stores.SealedStore(memory, bytes(range(32)))
    assert status_with(connection(generic, person, store=store), by_source) == 200
    # Another process has the grant and its DPoP key.
    generic.expire()
    second = connection(generic, person, store=store)
    assert status_with(second, by_requests) == 200
    assert (generic.counters["refreshes"], len(person.pages)) == (1, 1)
    (key,) = (key for key in memory.scan()[0] if key.startswith("dpop-key:"))
    sealed, opened = memory.load(key), store.load(key)
    assert sealed and "PRIVATE KEY" not in sealed[1]
    assert opened and "PRIVATE KEY" in opened[1]
    second.forget()
    stored_record = memory.load(key)
    assert stored_record is None or not stored_record[1]


def test_a_key_passed_by_the_caller_is_used_and_not_stored(generic: Twin) -> None:
    generic.require_dpop()
    person, store = Person(), oauth_core.stores.MemoryStore()
    key = oauth_core.DpopKey.generate()
    assert status_with(connection(generic, person, store=store, dpop_key=key), by_source) == 200
    keys, _ = store.scan()
    assert keys and not [key for key in keys if key.startswith("dpop-key:")]
    # The API takes no proofs of such a key.
    other = oauth_core.DpopKey.generate("ES384")
    with pytest.raises(oauth_core.MisuseError) as error:
        connection(generic, person, store=store, dpop_key=other).token()
    assert error.value.code == "key.algorithm"
    assert len(person.pages) == 1


@pytest.mark.parametrize("way", CALLERS)
def test_an_api_without_authorization_is_called_without_a_token(
    generic: Twin, plain: Callable[[Answer], StubServer], way: Callable[..., Any]
) -> None:
    is_protected = False

    def respond(request: BaseHTTPRequestHandler) -> None:
        is_metadata = request.path.startswith("/.well-known/oauth-protected-resource")
        metadata = {"resource": api.url, "authorization_servers": [generic.base]}
        if is_metadata and is_protected:
            reply(200, json.dumps(metadata).encode(), content_type="application/json")(request)
        elif request.path != "/mcp":
            reply(404)(request)
        elif is_protected and not request.headers["authorization"]:
            reply(401)(request)
        else:
            reply(200, b"served")(request)

    server, person = plain(respond), Person()
    api = oauth_core.ResourceConnection(
        f"{server.base}/mcp",
        client_name="Notes",
        open=person,
        issuers=[generic.base],
        timeout=30.0,
        **HERE,
    )
    with pytest.raises(oauth_core.MisuseError) as error:
        api.token()
    assert error.value.code == "connect.not_protected"
    request_count = len(server.seen)
    assert [status_with(api, way), status_with(api, way)] == [200, 200]
    # Metadata that is already known is not requested again.
    assert len(server.seen) == request_count + 2
    assert not any("authorization" in headers for _, _, headers, _ in server.seen)
    assert person.pages == []
    # One day it asks for authorization.
    is_protected = True
    assert status_with(api, way) == 200
    assert server.seen[-1][2]["authorization"].startswith("Bearer ")
    assert len(person.pages) == 1
