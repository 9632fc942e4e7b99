"""Requests of each method, and error responses as exceptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from conftest import Answer, StubServer, reply

import oauth_core

Start = Callable[[Answer], StubServer]

WITHOUT_BODY = ["get", "delete"]
WITH_BODY = ["post", "put", "patch"]
SOURCES = ["grant", "fixed", "api"]


def make_sender(kind: str, base: str) -> tuple[Any, dict[str, Any]]:
    """An object that sends requests, and the keywords that each request needs."""
    fixed = oauth_core.fixed_token("a-token", origins=[base], transport="loopback_http")
    if kind == "fixed":
        return fixed, {}
    if kind == "api":
        return oauth_core.Api(fixed), {}
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    client = oauth_core.Client(server, client_id="id", client_secret="secret")
    # `Tokens.bearer` cannot be renewed: these have a refresh token.
    tokens = json.loads(oauth_core.Tokens.bearer("a-token").serialize())
    tokens |= {"issuer": base, "client_id": "id", "refresh_token": "r", "refresh_scope": ""}
    source = client.source(oauth_core.Tokens.deserialize(json.dumps(tokens)))
    return source, {"origins": [base]}


def send_both_ways(sender: Any, verb: str, url: str, **options: Any) -> list[oauth_core.Response]:
    """The replies to one request, sent from this thread and from a task."""
    coroutine = getattr(sender, f"a{verb}")
    return [
        getattr(sender, verb)(url, **options),
        asyncio.run(asyncio.wait_for(coroutine(url, **options), 30)),
    ]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("verb", WITHOUT_BODY + WITH_BODY)
def test_each_method_sends_the_token(plain: Start, kind: str, verb: str) -> None:
    server = plain(reply(200, b"done"))
    sender, options = make_sender(kind, server.base)
    for response in send_both_ways(sender, verb, f"{server.base}/things/1", **options):
        assert (response.status, response.content) == (200, b"done")
    assert len(server.seen) == 2
    for method, path, headers, body in server.seen:
        assert (method, path, body) == (verb.upper(), "/things/1", b"")
        assert headers["authorization"] == "Bearer a-token"


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("verb", WITH_BODY)
def test_a_body_is_bytes_or_json(plain: Start, kind: str, verb: str) -> None:
    server = plain(reply(200))
    sender, options = make_sender(kind, server.base)
    url, value = f"{server.base}/things", {"name": "Zoë", "of": [1, None, 2.5]}
    send_both_ways(sender, verb, url, content=b"\x00raw", **options)
    send_both_ways(sender, verb, url, json=value, **options)
    send_both_ways(sender, verb, url, json=value, headers={"Content-Type": "application/x+json"}, **options)
    bodies = [body for _, _, _, body in server.seen]
    types = [headers.get("content-type") for _, _, headers, _ in server.seen]
    assert bodies[:2] == [b"\x00raw"] * 2
    assert all(json.loads(body) == value for body in bodies[2:])
    assert types == [None] * 2 + ["application/json"] * 2 + ["application/x+json"] * 2


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("verb", WITH_BODY)
def test_a_form_is_sent_urlencoded(plain: Start, kind: str, verb: str) -> None:
    server = plain(reply(200))
    sender, options = make_sender(kind, server.base)
    form = {"name": "Zoë & co", "of": ["a", 2], "none": []}
    send_both_ways(sender, verb, f"{server.base}/things", data=form, **options)
    assert len(server.seen) == 2
    for _, _, headers, body in server.seen:
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        assert parse_qsl(body.decode()) == [("name", "Zoë & co"), ("of", "a"), ("of", "2")]


@pytest.mark.parametrize("kind", SOURCES)
def test_parameters_are_appended_to_the_query(plain: Start, kind: str) -> None:
    server = plain(reply(200))
    sender, options = make_sender(kind, server.base)
    params = {"q": "a b&c", "page": 2}
    for end in ("", "?", "?x=1", "?x=1&"):
        sender.get(f"{server.base}/things{end}", params=params, **options)
    sender.get(f"{server.base}/things", params={}, **options)
    queries = [parse_qsl(urlsplit(path).query) for _, path, _, _ in server.seen]
    expected = [("q", "a b&c"), ("page", "2")]
    assert queries == [expected, expected, *[[("x", "1"), *expected]] * 2, []]
    for value in (True, None, 1.5, {"a": "b"}, b"a"):
        with pytest.raises(TypeError, match="q must be a str or an int"):
            sender.get(f"{server.base}/things", params={"q": value}, **options)
    assert len(server.seen) == 5


@pytest.mark.parametrize("kind", SOURCES)
def test_several_bodies_or_a_body_of_get_are_rejected(plain: Start, kind: str) -> None:
    server = plain(reply(200))
    sender, options = make_sender(kind, server.base)
    with pytest.raises(TypeError, match="one of content, data and json"):
        sender.post(f"{server.base}/things", content=b"a", json=1, **options)
    with pytest.raises(TypeError):
        sender.post(f"{server.base}/things", json=object(), **options)
    with pytest.raises(TypeError):
        sender.get(f"{server.base}/things", content=b"a", **options)
    sender.request("PATCH", f"{server.base}/things", json=[1], **options)
    assert [(method, body) for method, _, _, body in server.seen] == [("PATCH", b"[1]")]


def test_a_request_to_another_origin_is_rejected(plain: Start) -> None:
    server, other = plain(reply(200)), plain(reply(200))
    sender, options = make_sender("grant", server.base)
    with pytest.raises(oauth_core.MisuseError) as caught:
        sender.post(f"{other.base}/things", json=1, **options)
    assert caught.value.code == "resource.origin_not_allowed"
    assert not server.seen and not other.seen


@pytest.mark.parametrize(
    ("status", "challenge", "code", "advice"),
    [
        (404, None, "denied.http_status", "give_up"),
        (410, "Basic realm=x", "denied.http_status", "give_up"),
        (502, None, "denied.busy", "retry"),
        (403, 'Bearer error="insufficient_scope"', "denied.insufficient_scope", "reauthorize"),
        (400, 'Bearer error="a-token"', "denied.http_status", "give_up"),
    ],
)
def test_raise_for_status_raises_an_error_response(
    plain: Start, status: int, challenge: str | None, code: str, advice: str
) -> None:
    headers = {} if challenge is None else {"www_authenticate": challenge}
    server = plain(reply(status, b"a-token", **headers))
    sender, options = make_sender("grant", server.base)
    response = sender.get(f"{server.base}/things", **options)
    assert response.status == status
    with pytest.raises(oauth_core.DeniedError) as caught:
        response.raise_for_status()
    error = caught.value
    assert (error.code, error.advice, error.status) == (code, advice, status)
    assert (error.endpoint, error.retry_after) == ("resource", None)
    assert "a-token" not in f"{error} {error!r} {error.__dict__}"


def test_a_429_error_contains_retry_after(plain: Start) -> None:
    server = plain(reply(429, retry_after="7"))
    sender, options = make_sender("grant", server.base)
    response = sender.get(f"{server.base}/things", on_rate_limit="pass", **options)
    with pytest.raises(oauth_core.DeniedError) as caught:
        response.raise_for_status()
    assert (caught.value.code, caught.value.retry_after) == ("denied.busy", 7)


@pytest.mark.parametrize("status", [200, 204, 299, 302, 304])
def test_raise_for_status_returns_success_and_redirect_responses(plain: Start, status: int) -> None:
    server = plain(reply(status, location="https://elsewhere.example/"))
    sender, options = make_sender("grant", server.base)
    response = sender.delete(f"{server.base}/things", **options)
    assert response.status == status and response.raise_for_status() is response
