"""Two APIs on one origin, each with its own metadata: neither receives anything that belongs to the other."""

from __future__ import annotations

import json
import pathlib
import re
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from conftest import Answer, StubServer, Twin, reply
from test_connection import HERE, Person

import oauth_core
import oauth_core.stores

PLACE = "/.well-known/oauth-protected-resource"


class Siblings:
    """`/a` and `/b`, whose tokens two servers issue, or one server does."""

    def __init__(self, plain: Callable[[Answer], StubServer], a: Twin, b: Twin) -> None:
        self.issuers = {"a": a.base, "b": b.base}
        #: Tokens that are not enough for a POST.
        self.narrow: set[str] = set()
        #: Tokens that are refused, with a challenge that names the metadata.
        self.dead: set[str] = set()
        #: The metadata that the challenge of each names.
        self.named = {"a": "a", "b": "b"}
        self.origin = plain(self.respond)
        self.store, self.person = oauth_core.stores.MemoryStore(), Person()

    def url(self, name: str) -> str:
        return f"{self.origin.base}/{name}"

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path.rpartition("/")[2]
        if request.path.startswith(PLACE):
            issuer = self.issuers.get(name)
            metadata = {"resource": self.url(name), "authorization_servers": [issuer], "scopes_supported": ["read"]}
            body = json.dumps(metadata).encode()
            return reply(200 if issuer else 404, body, content_type="application/json")(request)
        name = request.path.split("/")[1]
        token = request.headers["authorization"]
        if request.path == "/a/moved":
            return reply(307, location="/b/stolen")(request)
        if not token or token in self.dead:
            challenge = f'Bearer resource_metadata="{self.origin.base}{PLACE}/{self.named[name]}"'
            return reply(401, www_authenticate=challenge)(request)
        if request.command == "POST" and token in self.narrow:
            challenge = 'Bearer error="insufficient_scope", scope="read write"'
            return reply(403, www_authenticate=challenge)(request)
        reply(200, b"served")(request)

    def connection(self, name: str, **options: Any) -> oauth_core.ResourceConnection:
        defaults: Any = {
            "client_name": "Notes",
            "open": self.person,
            "issuers": list(set(self.issuers.values())),
            "store": self.store,
            "timeout": 30.0,
            **HERE,
            **options,
        }
        return oauth_core.ResourceConnection(self.url(name), **defaults)

    def tokens(self, name: str) -> set[str]:
        """The tokens sent to this API and the paths below it."""
        sent = [(path.split("/")[1], headers.get("authorization")) for _, path, headers, _ in self.origin.seen]
        return {token for to, token in sent if to == name and token}


def page_query(page: str) -> dict[str, str]:
    """The server and the parameters of an authorization URL."""
    server, _, query = page.partition("/authorize?")
    return {"server": server, **dict(urllib.parse.parse_qsl(query))}


@pytest.mark.parametrize("servers", ["two", "one"])
def test_each_api_has_its_own_client_login_and_tokens(
    twins: dict[str, Twin], plain: Callable[[Answer], StubServer], servers: str
) -> None:
    first, second = twins["generic"], twins["identity-provider" if servers == "two" else "generic"]
    both = Siblings(plain, first, second)
    a, b = both.connection("a"), both.connection("b")
    assert [a.get(a.url).status, b.get(b.url).status] == [200, 200]
    pages = [page_query(page) for page in both.person.pages]
    assert [(page["server"], page["resource"]) for page in pages] == [(first.base, a.url), (second.base, b.url)]
    assert pages[0]["client_id"] != pages[1]["client_id"]
    token_of_b = b.token().access_token

    # The first API requires more scope: nothing changes for the second.
    both.narrow = {f"Bearer {a.token().access_token}"}
    assert a.post(a.url, content=b"x").status == 200
    wider = page_query(both.person.pages[2])
    assert (len(both.person.pages), wider["server"], wider["resource"]) == (3, first.base, a.url)
    assert "write" in wider["scope"].split()
    assert b.post(b.url, content=b"x").status == 200
    assert b.token().access_token == token_of_b
    assert len(both.person.pages) == 3

    # Nothing changes after a renewal either, or in another process with the same store.
    renewed = a.renew(a.token()).access_token
    reconnected = {name: both.connection(name) for name in "ab"}
    assert (reconnected["a"].token().access_token, reconnected["b"].token().access_token) == (renewed, token_of_b)
    a.forget()
    assert both.connection("b").token().access_token == token_of_b
    assert len(both.person.pages) == 3
    assert (len(both.tokens("a")), both.tokens("b")) == (2, {f"Bearer {token_of_b}"})
    assert not both.tokens("a") & both.tokens("b")


def test_requests_for_one_api_never_reach_the_other(generic: Twin, plain: Callable[[Answer], StubServer]) -> None:
    both = Siblings(plain, generic, generic)
    a = both.connection("a")
    assert a.get(a.url).status == 200
    for path, code in [
        ("b", "resource.not_covered"),
        ("ab", "resource.not_covered"),
        ("a/../b", "url.syntax"),
        ("a/%2e%2e/b", "url.syntax"),
    ]:
        with pytest.raises(oauth_core.MisuseError) as refused:
            a.get(both.url(path))
        assert (path, refused.value.code) == (path, code)
    # Where the one sends on to the other, the caller is shown that, and nothing follows.
    assert a.get(both.url("a/moved")).status == 307
    assert both.tokens("b") == set() and not any(path == "/ab" for _, path, _, _ in both.origin.seen)


def test_the_metadata_of_one_api_does_not_apply_to_the_other(
    twins: dict[str, Twin], plain: Callable[[Answer], StubServer]
) -> None:
    both = Siblings(plain, twins["generic"], twins["identity-provider"])
    both.named["a"] = "b"
    with pytest.raises(oauth_core.OAuthError) as refused:
        both.connection("a").token()
    assert refused.value.code == "resource_metadata.resource"
    assert both.person.pages == []


def test_the_client_secret_of_one_api_is_not_sent_to_the_server_of_the_other(
    twins: dict[str, Twin], plain: Callable[[Answer], StubServer]
) -> None:
    first, second = twins["generic"], twins["identity-provider"]
    both = Siblings(plain, first, second)
    connection_options: Any = {name: first.data[name] for name in ("client_id", "client_secret")}
    connection_options |= {"client_name": None, "issuer": first.base, "grant_type": "client_credentials"}
    a = both.connection("a", **connection_options)
    assert a.get(a.url).status == 200
    with pytest.raises(oauth_core.UntrustedError) as refused:
        both.connection("b", **connection_options).token()
    assert refused.value.code == "connect.issuer"
    assert second.log == [] and both.tokens("b") == set()


def test_a_401_with_changed_metadata_leads_to_a_login_at_the_new_server(
    twins: dict[str, Twin], plain: Callable[[Answer], StubServer], tmp_path: pathlib.Path
) -> None:
    """RFC 9728 section 5.2; metadata is cached for five minutes."""
    first, second = twins["generic"], twins["identity-provider"]
    both = Siblings(plain, first, second)
    store = oauth_core.stores.FileStore(tmp_path)
    a = both.connection("a", store=store, issuers=[first.base, second.base])
    old = a.token().access_token
    both.dead, both.issuers["a"] = {f"Bearer {old}"}, second.base
    for store_file in tmp_path.iterdir():
        if "found_at" in (text := store_file.read_text()):
            store_file.write_text(re.sub(r'(found_at\\*":)(\d+)', lambda at: f"{at[1]}{int(at[2]) - 600}", text))
    moved = both.connection("a", store=store, issuers=[first.base, second.base])
    assert moved.get(moved.url).status == 200
    pages = [page_query(page) for page in both.person.pages]
    assert [page["server"] for page in pages] == [first.base, second.base]
    assert pages[0]["client_id"] != pages[1]["client_id"]
    assert first.counters["refreshes"] == 0
    assert old not in str(second.log) and pages[0]["client_id"] not in str(second.log)
    # Nothing of the former server's is kept.
    assert not any(old in store_file.read_text() for store_file in tmp_path.iterdir())
