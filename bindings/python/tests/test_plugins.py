"""The plug-ins attach tokens, renew once after a 401, and send tokens to their origins only."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
from conftest import Answer, StubServer, Twin, reply, server_at
from test_fapi import Proofs

import oauth_core
import oauth_core.aiohttp
import oauth_core.httpx
import oauth_core.httpx2
import oauth_core.requests

Start = Callable[[Answer], StubServer]
Source = oauth_core.GrantSource


@pytest.fixture
def source(client: oauth_core.Client) -> Source:
    return client.client_credentials(scope="read write")


def by_httpx(library: Any, plugin: Any) -> Callable[..., int]:
    def send(source: Source, origin: str, url: str, content: Any = None) -> int:
        auth = plugin.Auth(source, origins=origin and [origin])
        with library.Client(auth=auth, follow_redirects=True) as http:
            method = "GET" if content is None else "POST"
            return int(http.request(method, url, content=content).status_code)

    return send


def by_async_httpx(library: Any, plugin: Any) -> Callable[..., int]:
    def send(source: Source, origin: str, url: str, content: Any = None) -> int:
        async def stream() -> Any:
            for part in content:
                yield part

        async def main() -> int:
            auth = plugin.Auth(source, origins=origin and [origin])
            async with library.AsyncClient(auth=auth, follow_redirects=True) as http:
                method = "GET" if content is None else "POST"
                body = content if content is None or isinstance(content, bytes) else stream()
                return int((await http.request(method, url, content=body)).status_code)

        return asyncio.run(main())

    return send


def by_requests(source: Source, origin: str, url: str, content: Any = None) -> int:
    with requests.Session() as session:
        session.auth = oauth_core.requests.Auth(source, origins=origin and [origin])
        method = "GET" if content is None else "POST"
        return session.request(method, url, data=content, timeout=20).status_code


def by_aiohttp(source: Source, origin: str, url: str, content: Any = None) -> int:
    async def stream() -> Any:
        for part in content:
            yield part

    async def main() -> int:
        auth = oauth_core.aiohttp.Auth(source, origins=origin and [origin])
        async with aiohttp.ClientSession(middlewares=[auth]) as session:
            method = "GET" if content is None else "POST"
            body = content if content is None or isinstance(content, bytes) else stream()
            async with session.request(method, url, data=body) as response:
                await response.read()
                return response.status

    return asyncio.run(main())


WAYS = {
    "httpx": by_httpx(httpx, oauth_core.httpx),
    "httpx async": by_async_httpx(httpx, oauth_core.httpx),
    "httpx2": by_httpx(httpx2, oauth_core.httpx2),
    "httpx2 async": by_async_httpx(httpx2, oauth_core.httpx2),
    "requests": by_requests,
    "aiohttp": by_aiohttp,
}


@pytest.fixture(params=sorted(WAYS))
def send(request: pytest.FixtureRequest) -> Callable[..., int]:
    return WAYS[request.param]


def test_a_plugin_attaches_the_token(generic: Twin, source: Source, send: Callable[..., int]) -> None:
    assert send(source, generic.base, f"{generic.base}/api/echo") == 200
    assert send(source, generic.base, f"{generic.base}/api/echo", b"hello") == 200
    assert generic.counters["token_requests"] == 1
    assert generic.counters["api_401"] == 0


def test_a_plugin_renews_once_after_a_401(generic: Twin, source: Source, send: Callable[..., int]) -> None:
    for content in (None, b"hello"):
        source.token()
        generic.expire()
        assert send(source, generic.base, f"{generic.base}/api/echo", content) == 200
    counters = generic.counters
    assert (counters["token_requests"], counters["api_401"], counters["api_calls"]) == (3, 2, 4)


def test_a_second_401_is_returned(
    generic: Twin, source: Source, plain: Start, send: Callable[..., int]
) -> None:
    api = plain(reply(401))
    assert send(source, api.base, api.base + "/") == 401
    first, second = (seen[2]["authorization"] for seen in api.seen)
    assert first != second
    assert generic.counters["token_requests"] == 2


def test_a_streamed_body_is_not_resent_after_a_401(
    generic: Twin, source: Source, send: Callable[..., int]
) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    source.token()
    generic.expire()
    assert send(source, generic.base, f"{generic.base}/api/echo", parts()) == 401
    assert generic.counters["api_calls"] == 1
    assert send(source, generic.base, f"{generic.base}/api/echo") == 200
    assert generic.counters["token_requests"] == 2, "the dead token is forgotten"


def test_another_origin_is_rejected_before_anything_is_sent(
    generic: Twin, source: Source, plain: Start, send: Callable[..., int]
) -> None:
    thief = plain(reply(200))
    with pytest.raises(oauth_core.MisuseError) as caught:
        send(source, generic.base, thief.base + "/")
    assert caught.value.code == "resource.origin_not_allowed"
    assert thief.seen == []


def test_a_redirect_to_another_origin_has_no_token(
    source: Source, plain: Start, send: Callable[..., int]
) -> None:
    thief = plain(reply(401))
    api = plain(reply(307, location=f"{thief.base}/"))
    try:
        assert send(source, api.base, api.base + "/") == 401
    except oauth_core.MisuseError as error:  # aiohttp asks about each redirect
        assert error.code == "resource.origin_not_allowed"
    assert all("authorization" not in seen[2] for seen in thief.seen)
    assert len(api.seen) == 1


def test_insufficient_scope_does_not_cause_a_renewal(
    source: Source, plain: Start, send: Callable[..., int], generic: Twin
) -> None:
    api = plain(reply(403, www_authenticate='Bearer error="insufficient_scope"'))
    assert send(source, api.base, api.base + "/") == 403
    assert generic.counters["token_requests"] == 1


def test_redirects_configured_in_the_http_client_are_not_followed_at_the_token_endpoint(
    plain: Start, send: Callable[..., int]
) -> None:
    thief = plain(reply(200, b"{}"))
    server = plain(reply(307, location=f"{thief.base}/token"))
    client = oauth_core.Client(server_at(server.base), client_id="id", client_secret="secret")
    api = plain(reply(200))
    with pytest.raises(oauth_core.MalformedError) as caught:
        send(client.client_credentials(), api.base, api.base + "/")
    assert caught.value.code == "reply.redirect"
    assert thief.seen == [] and api.seen == []


def test_the_origins_of_the_preset_are_the_default(twins: dict[str, Twin]) -> None:
    twin = twins["socios"]
    source = twin.client("socios").client_credentials()
    url = f"{twin.base}/polls/1.0.0/polls"
    with httpx.Client(auth=oauth_core.httpx.Auth(source)) as http:
        assert http.get(url).status_code == 200
    assert requests.get(url, auth=oauth_core.requests.Auth(source), timeout=20).status_code == 200


def test_requests_sends_a_file_once(generic: Twin, source: Source) -> None:
    source.token()
    generic.expire()
    auth = oauth_core.requests.Auth(source, origins=[generic.base])
    response = requests.post(f"{generic.base}/api/echo", data=io.BytesIO(b"x"), auth=auth, timeout=20)
    assert response.status_code == 401 and generic.counters["api_calls"] == 1


def test_fifty_tasks_over_one_httpx_client_share_one_renewal(generic: Twin, source: Source) -> None:
    source.token()
    generic.expire()

    async def main() -> set[int]:
        auth = oauth_core.httpx.Auth(source, origins=[generic.base])
        async with httpx.AsyncClient(auth=auth) as http:
            pending = (http.get(f"{generic.base}/api/echo") for _ in range(50))
            return {got.status_code for got in await asyncio.gather(*pending)}

    assert asyncio.run(main()) == {200}
    assert generic.counters["token_requests"] == 2


PROVIDER_FILE = """
name = "ruled"
title = "An API that tells of an ended token in its body"
issuer = "https://as.example"
client_auth = "basic"
grants = ["client_credentials"]
api = ["https://as.example/api"]
expired_token_replies = [{ status = 200, body = { ok = [false], error = ["token_expired"] } }]

[endpoints]
token_endpoint = "https://as.example/token"
"""


def source_with_rules(twin: Twin) -> Source:
    data = twin.data
    server = oauth_core.provider_file(PROVIDER_FILE, loopback=twin.base)
    auth = oauth_core.ClientSecretBasic(data["client_secret"])
    client = oauth_core.Client(server, client_id=data["client_id"], client_auth=auth)
    return client.client_credentials(scope="read write")


@pytest.mark.parametrize("way", [*sorted(WAYS), "its own", "its own, async"])
def test_a_token_reported_as_expired_in_a_response_body_is_renewed_once(generic: Twin, way: str) -> None:
    source = source_with_rules(generic)
    url = f"{generic.base}/api/echo"

    def fetch_status() -> int:
        if way in WAYS:
            send: Any = WAYS[way]
            return int(send(source, None, url))
        response = source.get(url) if way == "its own" else asyncio.run(source.aget(url))
        assert response.json()["method"] == "GET"
        return response.status

    # This response is inspected as well, and returned.
    assert fetch_status() == 200
    generic.expire()
    generic.fault("ended_token_in_body")
    assert fetch_status() == 200
    counters = generic.counters
    assert (counters["token_requests"], counters["api_calls"]) == (2, 3)


def test_configured_rules_recognize_replies_about_expired_tokens(generic: Twin, source: Source) -> None:
    url = f"{generic.base}/api/echo"
    rules: list[dict[str, Any]] = [
        {"status": 403, "body": {"error.code": [190, "expired"]}},
        {"status": 404},
    ]
    api = oauth_core.Api(source, origins=[generic.base], expired_token_replies=rules)
    assert api.get(url).status == 200
    coded: dict[str, Any] = {"status": 403, "body": '{"error":{"code":190}}'}
    for number, fault in enumerate((coded, {"status": 404})):
        generic.expire()
        generic.fault("ended_token_in_body", **fault)
        assert api.get(url).json()["method"] == "GET"
        assert generic.counters["token_requests"] == number + 2
    # A response that matches no rule is returned with its body.
    generic.expire()
    generic.fault("ended_token_in_body", status=403, body='{"error":{"code":4}}')
    response = api.get(url)
    assert (response.status, response.json()) == (403, {"error": {"code": 4}})
    wrongs: Any = ([{"status": 200}], [{"status": 403, "body": {"a": 1}}], [403])
    for wrong in wrongs:
        with pytest.raises(oauth_core.MisuseError) as caught:
            oauth_core.Api(source, origins=[generic.base], expired_token_replies=wrong)
        assert caught.value.code == "misuse.setup"


@pytest.mark.parametrize("plugin", [oauth_core.httpx, oauth_core.httpx2])
def test_a_body_of_unknown_length_is_streamed(plain: Start, plugin: Any) -> None:
    body = b'{"ok":false,"error":"token_expired"}'

    def respond(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    server = plain(respond)
    token = oauth_core.fixed_token("t", origins=[server.base], transport="loopback_http")
    rules = [{"status": 200, "body": {"ok": [False]}}]
    api = oauth_core.Api(token, expired_token_replies=rules)
    library = httpx if plugin is oauth_core.httpx else httpx2
    with library.Client(auth=plugin.Auth(api)) as http, http.stream("GET", server.base) as response:
        assert response.status_code == 200
        assert b"".join(response.iter_bytes()) == body


def test_a_body_is_resent_with_the_nonce_of_the_api(plain: Start, send: Callable[..., int]) -> None:
    """In every plug-in (RFC 9449 section 9): the API reads the body, rejects the proof, and gets both again."""
    proofs = Proofs()
    things = plain(proofs)
    base = things.base
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    auth = oauth_core.ClientSecretBasic("s" * 32)
    key = oauth_core.DpopKey.generate()
    bound = oauth_core.Client(server, client_id="id", client_auth=auth, dpop_key=key).client_credentials()
    assert send(bound, base, f"{base}/things", b"a body") == 200
    assert [body for _, path, _, body in things.seen if path == "/things"] == [b"a body"] * 2
    nonces = [claims.get("nonce") for _, path, _, claims in proofs.seen if path == "/things"]
    assert nonces == [None, "for-the-api"]
