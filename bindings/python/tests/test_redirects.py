"""Redirects followed by the HTTP clients, with key-bound tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import httpx2
import jwt
import pytest
import requests
from conftest import Answer, StubServer, reply

import oauth_core
import oauth_core.aiohttp
import oauth_core.httpx
import oauth_core.httpx2
import oauth_core.requests

Start = Callable[[Answer], StubServer]


def json_reply(status: int, body: object, **headers: str) -> Answer:
    return reply(status, json.dumps(body).encode(), content_type="application/json", **headers)


def api(kind: str) -> Answer:
    """A token endpoint, and an API that redirects, and verifies the proof at the end."""

    def respond(handler: Any) -> None:
        if handler.path == "/token":
            response = json_reply(200, {"access_token": "a~t", "token_type": kind, "expires_in": 600})
        elif handler.path.startswith("/on"):
            response = reply(307, location=handler.path[3:])
        else:
            proof = handler.headers.get("DPoP")
            claims = jwt.decode(proof, options={"verify_signature": False}) if proof else {}
            is_good = kind == "Bearer" or urlsplit(claims.get("htu", "")).path == handler.path
            challenge = {"WWW-Authenticate": 'DPoP error="invalid_dpop_proof"'}
            response = json_reply(200, {"well": True}) if is_good else json_reply(401, {}, **challenge)
        response(handler)

    return respond


def make_source(base: str, kind: str) -> Any:
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    key = oauth_core.DpopKey.generate() if kind == "DPoP" else None
    auth = oauth_core.ClientSecretBasic("s" * 32)
    return oauth_core.Client(server, client_id="id", client_auth=auth, dpop_key=key).client_credentials()


def by_httpx(source: Any, base: str, method: str, url: str, body: bytes) -> Any:
    attached = oauth_core.httpx.Auth(source, origins=[base])
    with httpx.Client(auth=attached, follow_redirects=True) as http:
        return http.request(method, url, content=body)


def by_async_httpx(source: Any, base: str, method: str, url: str, body: bytes) -> Any:
    async def request() -> Any:
        attached = oauth_core.httpx.Auth(source, origins=[base])
        async with httpx.AsyncClient(auth=attached, follow_redirects=True) as http:
            return await http.request(method, url, content=body)

    return asyncio.run(request())


def by_requests(source: Any, base: str, method: str, url: str, body: bytes) -> Any:
    attached = oauth_core.requests.Auth(source, origins=[base])
    return requests.request(method, url, data=body, auth=attached, timeout=30)


def by_httpx2(source: Any, base: str, method: str, url: str, body: bytes) -> Any:
    attached = oauth_core.httpx2.Auth(source, origins=[base])
    with httpx2.Client(auth=attached, follow_redirects=True) as http:
        return http.request(method, url, content=body)


def by_async_httpx2(source: Any, base: str, method: str, url: str, body: bytes) -> Any:
    async def request() -> Any:
        attached = oauth_core.httpx2.Auth(source, origins=[base])
        async with httpx2.AsyncClient(auth=attached, follow_redirects=True) as http:
            return await http.request(method, url, content=body)

    return asyncio.run(request())


def by_aiohttp(source: Any, base: str, method: str, url: str, body: bytes) -> Any:
    async def request() -> Any:
        attached = oauth_core.aiohttp.Auth(source, origins=[base])
        async with aiohttp.ClientSession(middlewares=[attached]) as http:
            async with http.request(method, url, data=body or None) as response:
                return httpx.Response(response.status)

    return asyncio.run(request())


CLIENTS = {
    "httpx": by_httpx,
    "httpx async": by_async_httpx,
    "httpx2": by_httpx2,
    "httpx2 async": by_async_httpx2,
    "requests": by_requests,
    "aiohttp": by_aiohttp,
}


@pytest.mark.parametrize("way", CLIENTS)
@pytest.mark.parametrize("kind", ["Bearer", "DPoP"])
def test_a_redirected_request_gets_a_proof_for_its_target(plain: Start, kind: str, way: str) -> None:
    place = plain(api(kind))
    source = make_source(place.base, kind)
    for method, body in (("GET", b""), ("POST", b"x")):
        place.seen.clear()
        result = CLIENTS[way](source, place.base, method, f"{place.base}/on/on/end", body)
        assert result.status_code == 200
        ends = [(seen[0], seen[3]) for seen in place.seen if seen[1] == "/end"]
        # Refused once, because a client of redirects takes the token along without a proof. The middleware of aiohttp is
        # called for each redirect.
        is_refused = kind == "DPoP" and way != "aiohttp"
        assert ends == [(method, body)] * (2 if is_refused else 1)


@pytest.mark.parametrize("way", CLIENTS)
def test_an_expired_token_is_renewed_after_a_redirect(plain: Start, way: str) -> None:
    over = [True]

    def respond(handler: Any) -> None:
        if handler.path == "/end" and over[0]:
            over[0] = False
            reply(401, www_authenticate='Bearer error="invalid_token"')(handler)
        else:
            api("Bearer")(handler)

    place = plain(respond)
    result = CLIENTS[way](make_source(place.base, "Bearer"), place.base, "GET", f"{place.base}/on/end", b"")
    assert result.status_code == 200
    assert [path for _, path, _, _ in place.seen].count("/token") == 2


@pytest.mark.parametrize("way", CLIENTS)
def test_a_redirect_to_another_origin_gets_neither_a_token_nor_a_proof(plain: Start, way: str) -> None:
    elsewhere = plain(json_reply(401, {}))
    lead = reply(302, location=f"{elsewhere.base}/end")
    bank = api("DPoP")
    place = plain(lambda handler: (bank if handler.path == "/token" else lead)(handler))
    source = make_source(place.base, "DPoP")
    if way == "aiohttp":
        # Its middleware is called for each redirect.
        with pytest.raises(oauth_core.MisuseError) as error:
            CLIENTS[way](source, place.base, "GET", f"{place.base}/a", b"")
        assert error.value.code == "resource.origin_not_allowed"
        assert elsewhere.seen == []
        return
    result = CLIENTS[way](source, place.base, "GET", f"{place.base}/a", b"")
    assert result.status_code == 401
    ((_, _, headers, _),) = elsewhere.seen
    names = {name.lower() for name in headers}
    assert names.isdisjoint({"authorization", "dpop"})


@pytest.mark.parametrize(
    ("url", "htu"),
    [
        ("https://server.example.com/a/../b", "https://server.example.com/b"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
        ("https://SERVER.example.com:443/Token?a=b#c", "https://server.example.com/Token"),
        ("https://server.example.com", "https://server.example.com/"),
    ],
)
def test_the_htu_of_a_proof_is_the_url_normalized_by_the_http_client(plain: Start, url: str, htu: str) -> None:
    """The vectors of ``htu`` whose URLs httpx normalizes before the core reads them (RFC 9449 section 4.2)."""
    source = make_source(plain(api("DPoP")).base, "DPoP")
    named: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        claims = jwt.decode(request.headers["dpop"], options={"verify_signature": False})
        named.append(claims["htu"])
        return httpx.Response(200)

    attached = oauth_core.httpx.Auth(source, origins=[urlsplit(htu)._replace(path="").geturl()])
    with httpx.Client(auth=attached, transport=httpx.MockTransport(respond)) as http:
        assert http.get(url).status_code == 200
    assert named == [htu]
