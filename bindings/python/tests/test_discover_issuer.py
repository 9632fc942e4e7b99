"""Discovering a user's issuer (OpenID Connect Discovery section 2): natively, in a coroutine, and step by step."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from conftest import Twin, generic_client

import oauth_core

PLACE = "/.well-known/webfinger"
REL = "http://openid.net/specs/connect/1.0/issuer"


def code(client: oauth_core.Client, identifier: str) -> str:
    with pytest.raises(oauth_core.OAuthError) as raised:
        client.discover_issuer(identifier=identifier)
    return raised.value.code


def count_requests(twin: Twin) -> int:
    return sum(entry["path"] == PLACE for entry in twin.log)


def test_the_issuer_is_discovered_from_the_identifier_of_a_user(generic: Twin) -> None:
    client = generic_client(generic)
    host = generic.base.removeprefix("http://")
    for typed in (f"acct:alice@{host}", f"{generic.base}/alice"):
        found = client.discover_issuer(identifier=typed)
        assert isinstance(found, oauth_core.DiscoveredIssuer)
        assert (found.issuer, found.identifier) == (generic.base, typed)
        assert asyncio.run(client.adiscover_issuer(identifier=typed)).issuer == generic.base
    # No client credentials are sent, and the repr does not show the identifier.
    assert "authorization" not in generic.entry(PLACE)["headers"]
    assert "alice" not in repr(found)
    server = oauth_core.discover(found.issuer, transport="loopback_http")
    assert server.issuer == generic.base


def test_invalid_webfinger_responses_are_refused(generic: Twin) -> None:
    client = generic_client(generic)
    host = generic.base.removeprefix("http://")
    assert code(client, f"acct:bob@{host}") == "webfinger.subject"
    assert code(client, f"acct:carol@{host}") == "denied.http_status"
    generic.fault("without_member", member="links")
    assert code(client, f"acct:alice@{host}") == "webfinger.no_issuer"
    generic.fault("redirect_to")
    assert code(client, f"acct:alice@{host}") == "reply.redirect"
    assert count_requests(generic) == 4


@pytest.mark.parametrize(
    "typed", ["", "=alice", "mailto:alice@example.com", "http://example.com/alice", "alice@ex\u00e4mple.com"]
)
def test_an_identifier_without_a_host_is_rejected_before_anything_is_sent(generic: Twin, typed: str) -> None:
    assert code(generic_client(generic), typed) == "webfinger.identifier"
    assert count_requests(generic) == 0


def step_by_step(client: oauth_core.Client, document: dict[str, Any]) -> oauth_core.DiscoveredIssuer:
    exchange = client.exchange.discover_issuer(identifier="Joe@Example.com")
    step = next(exchange)
    assert isinstance(step, oauth_core.Send)
    assert step.method == "GET"
    assert step.url.startswith(f"https://example.com{PLACE}?resource=acct%3AJoe%40example.com&rel=http%3A")
    headers = [(b"content-type", b"application/jrd+json")]
    with pytest.raises(StopIteration) as done:
        exchange.send((200, headers, json.dumps(document).encode()))
    found: oauth_core.DiscoveredIssuer = done.value.value
    return found


def test_issuer_discovery_runs_step_by_step(generic: Twin) -> None:
    client = generic_client(generic)
    valid_response = {"subject": "acct:Joe@example.com", "links": [{"rel": REL, "href": "https://as.example/a"}]}
    found = step_by_step(client, valid_response)
    assert (found.issuer, found.identifier) == ("https://as.example/a", "acct:Joe@example.com")
    for change, refused in (
        ({"subject": "acct:joe@example.com"}, "webfinger.subject"),
        ({"links": [{"rel": "issuer", "href": "https://as.example"}]}, "webfinger.no_issuer"),
        ({"links": [{"rel": REL, "href": "http://as.example"}]}, "webfinger.issuer"),
    ):
        with pytest.raises(oauth_core.OAuthError) as raised:
            step_by_step(client, valid_response | change)
        assert raised.value.code == refused
