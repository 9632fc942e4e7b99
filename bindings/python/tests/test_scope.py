"""Scopes as a string, and as names in a list (RFC 6749 section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import CALLBACK, Answer, StubServer, Twin, approve, reply, server_at

import oauth_core
from oauth_core import stores

Start = Callable[[Answer], StubServer]


def names() -> Iterator[str]:
    yield from ("read", "write")


@pytest.mark.parametrize("scope", ["read write", ["read", "write"], ("read", "write"), names()])
def test_a_list_of_scopes_is_sent_separated_by_spaces(client: oauth_core.Client, scope: Any) -> None:
    flow = client.authorize(redirect_uri=CALLBACK, scope=scope)
    assert parse_qs(urlsplit(flow.url).query)["scope"] == ["read write"]


def test_every_operation_accepts_a_list_of_scopes(generic: Twin, client: oauth_core.Client) -> None:
    scopes = ["read", "offline_access"]
    flow = client.authorize(redirect_uri=CALLBACK, scope=scopes)
    tokens = client.redeem(flow, approve(flow.url))
    narrow = client.refresh(tokens=tokens, scope=["read"])
    assert generic.entry("/token")["form"]["scope"] == "read" and narrow.scope == {"read"}
    assert client.client_credentials(scope=["read"]).token().scope == {"read"}
    send = next(client.exchange.client_credentials(scope=["read", "write"]))
    assert isinstance(send, oauth_core.Send) and b"scope=read+write" in send.body
    send = next(client.exchange.password(username="u", password="p", scope=["read"]))
    assert isinstance(send, oauth_core.Send) and b"scope=read" in send.body


def test_a_list_and_a_string_of_the_same_scopes_have_the_same_grant_key(client: oauth_core.Client) -> None:
    sessions = oauth_core.Grants(client, stores.MemoryStore())
    by_text = sessions.get("ann", scope="read write").key
    assert sessions.get("ann", scope=["read", "write"]).key == by_text
    assert sessions.get("ann", scope={"write", "read"}).key == by_text
    assert sessions.get("ann", scope=["read"]).key != by_text
    assert client.keeper(subject="ann", scope=["read", "write"]).key == by_text
    assert client.source(store=stores.MemoryStore(), subject="ann", scope=["read", "write"]).key == by_text


def test_a_set_of_scopes_is_sent_sorted(client: oauth_core.Client) -> None:
    many = {f"name{number}" for number in range(40)}
    flow = client.authorize(redirect_uri=CALLBACK, scope=frozenset(many))
    assert parse_qs(urlsplit(flow.url).query)["scope"] == [" ".join(sorted(many))]


@pytest.mark.parametrize("nothing", [None, "", [], ()])
def test_no_scope_parameter_is_sent_for_an_empty_scope(client: oauth_core.Client, nothing: Any) -> None:
    flow = client.authorize(redirect_uri=CALLBACK, scope=nothing)
    assert "scope" not in parse_qs(urlsplit(flow.url).query)


@pytest.mark.parametrize("bad", ["read write", "", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", 'a"b', "a\\b"])
def test_an_item_that_is_not_a_single_scope_token_is_rejected(plain: Start, bad: str) -> None:
    server = plain(reply(500))
    client = oauth_core.Client(server_at(server.base), client_id="id", client_secret="secret")
    with pytest.raises(oauth_core.MisuseError, match="item 1 is not one scope-token") as caught:
        client.password(username="u", password="p", scope=["read", bad])
    assert caught.value.code == "scope.syntax"
    assert server.seen == []


@pytest.mark.parametrize("wrong", [5, b"read", ["read", 5], {"read": True}, [None]])
def test_a_scope_of_an_invalid_type_is_rejected(client: oauth_core.Client, wrong: Any) -> None:
    with pytest.raises(TypeError, match="'scope': expected a string or a list of strings"):
        client.client_credentials(scope=wrong)
