"""Calling an API known only by its URL: blocking, in coroutines, and through the plug-ins."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx
import httpx2
import pytest
import requests
from conftest import StubServer, Twin, browse, reply

import oauth_core
import oauth_core.aiohttp
import oauth_core.httpx
import oauth_core.httpx2
import oauth_core.requests
import oauth_core.stores

#: The twin is on this machine, and is the server of its own API.
HERE: Any = {"transport": "loopback_http"}


class Person:
    """A user who approves every page that is opened."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def __call__(self, url: str) -> None:
        self.pages.append(url)
        browse(url)


def connection(twin: Twin, person: Person, **options: Any) -> oauth_core.ResourceConnection:
    options = {"client_name": "Notes", "open": person, "timeout": 30.0, **HERE, **options}
    return oauth_core.ResourceConnection(f"{twin.base}/api/echo", **options)


def paths(twin: Twin) -> list[str]:
    return [entry["path"] for entry in twin.log]


def test_the_first_call_discovers_the_server_registers_and_logs_in(generic: Twin) -> None:
    person = Person()
    api = connection(generic, person)
    assert api.url == f"{generic.base}/api/echo"
    reply = api.get(api.url).raise_for_status()
    assert reply.json()["scope"] == "read write offline_access"
    assert (paths(generic).count("/register"), len(person.pages)) == (1, 1)
    assert f"resource={generic.base}".replace(":", "%3A").replace("/", "%2F") in person.pages[0]

    generic.expire()
    tokens = asyncio.run(api.atoken())
    assert api.renew(tokens).access_token != tokens.access_token
    assert (generic.counters["refreshes"], len(person.pages)) == (1, 1)


def test_a_stored_connection_needs_no_sign_in(generic: Twin, tmp_path: Any) -> None:
    person = Person()
    for _ in range(2):
        store = oauth_core.stores.FileStore(tmp_path)
        connection(generic, person, store=store).get(f"{generic.base}/api/echo")
    assert (len(person.pages), paths(generic).count("/register")) == (1, 1)
    store = oauth_core.stores.FileStore(tmp_path)
    # Only the grant is listed among the grants.
    keys, _ = store.scan()
    assert len([key for key in keys if ":" not in key]) == 1


def sent_by_httpx(auth: Any, url: str) -> int:
    with httpx.Client(auth=auth) as http:
        return http.post(url, content=b"x").status_code


def sent_by_httpx2(auth: Any, url: str) -> int:
    async def post() -> int:
        async with httpx2.AsyncClient(auth=auth) as http:
            return (await http.post(url, content=b"x")).status_code

    return asyncio.run(post())


def sent_by_requests(auth: Any, url: str) -> int:
    return requests.post(url, data=b"x", auth=auth, timeout=30).status_code


def sent_by_aiohttp(auth: Any, url: str) -> int:
    async def post() -> int:
        async with aiohttp.ClientSession(middlewares=[auth]) as http:
            async with http.post(url, data=b"x") as reply:
                return reply.status

    return asyncio.run(post())


PLUG_INS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, str], int]]] = {
    "httpx": (oauth_core.httpx.Auth, sent_by_httpx),
    "httpx2": (oauth_core.httpx2.Auth, sent_by_httpx2),
    "requests": (oauth_core.requests.Auth, sent_by_requests),
    "aiohttp": (oauth_core.aiohttp.Auth, sent_by_aiohttp),
}


@pytest.mark.parametrize("name", PLUG_INS)
def test_a_wider_scope_is_requested_from_the_user(generic: Twin, name: str) -> None:
    person = Person()
    api = connection(generic, person, www_authenticate=['Bearer scope="read"'])
    auth, send = PLUG_INS[name]
    auth_plugin = auth(api)
    assert api.get(api.url).json()["scope"] == "read offline_access"
    # POST requires `write`.
    assert send(auth_plugin, api.url) == 200
    assert len(person.pages) == 2 and "scope=read+offline_access+write" in person.pages[1]
    assert send(auth_plugin, api.url) == 200
    assert len(person.pages) == 2
    # An expired access token, and another path on the same origin.
    generic.expire()
    assert send(auth_plugin, api.url) == 200
    with pytest.raises(Exception, match="resource") as raised:
        send(auth_plugin, f"{generic.base}/api/other")
    error: Any = raised.value
    assert error.code == "resource.not_covered"


def test_the_connection_requests_the_scope_that_the_api_additionally_requires(generic: Twin) -> None:
    person = Person()
    api = connection(generic, person, www_authenticate=['Bearer scope="read"'])
    assert api.get(api.url).status == 200
    assert api.post(api.url, json={}).status == 200
    assert len(person.pages) == 2
    wanted = oauth_core.step_up(403, 'Bearer error="insufficient_scope", scope="read write"')
    assert wanted is not None
    with pytest.raises(oauth_core.MisuseError) as raised:
        api.step_up(api.token(), wanted)
    assert raised.value.code == "step_up.repeated"


def test_concurrent_threads_share_one_login(generic: Twin) -> None:
    person = Person()
    api = connection(generic, person)
    replies: list[int] = []
    threads = [
        threading.Thread(target=lambda: replies.append(api.get(api.url).status)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (replies, len(person.pages)) == ([200] * 8, 1)


def test_a_client_that_the_server_has_forgotten_registers_again(generic: Twin) -> None:
    person = Person()
    api = connection(generic, person)
    first = api.get(api.url).json()["client_id"]
    generic.forget_client(first)
    generic.expire()
    assert api.get(api.url).json()["client_id"] != first
    assert (len(person.pages), paths(generic).count("/register")) == (2, 2)
    api.forget()
    assert api.get(api.url).status == 200
    assert paths(generic).count("/register") == 3


def test_no_browser_is_opened_for_a_server_that_has_forgotten_the_client(generic: Twin) -> None:
    shown: list[str] = []

    def closed(url: str) -> None:
        shown.append(url)
        raise RuntimeError("closed")

    store = oauth_core.stores.MemoryStore()
    with pytest.raises(RuntimeError):
        connection(generic, Person(), store=store, open=closed).token()
    (first,) = parse_qs(urlsplit(shown[0]).query)["client_id"]
    generic.forget_client(first)
    person = Person()
    api = connection(generic, person, store=store)
    assert api.get(api.url).json()["client_id"] != first
    assert (len(person.pages), paths(generic).count("/register")) == (1, 2)


def test_a_manually_registered_client_is_used_only_at_its_issuer(generic: Twin) -> None:
    data = generic.data
    connection_options: Any = {
        "client_name": None,
        "client_id": data["client_id"],
        "client_secret": data["client_secret"],
        "issuer": generic.base,
        "grant_type": "client_credentials",
    }
    api = connection(generic, Person(), **connection_options)
    assert api.get(api.url).json()["client_id"] == data["client_id"]
    elsewhere = connection(generic, Person(), **{**connection_options, "issuer": "https://as.example"})
    with pytest.raises(oauth_core.UntrustedError) as raised:
        elsewhere.token()
    assert raised.value.code == "connect.issuer"


def test_an_exception_of_the_opener_is_raised_unchanged(generic: Twin) -> None:
    def broken(url: str) -> None:
        raise LookupError("no screen")

    with pytest.raises(LookupError, match="no screen"):
        connection(generic, Person(), open=broken).token()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"client_id": "id"}, "arguments.inconsistent"),
        ({"grant_type": "password"}, "form.malformed_parameter"),
        ({"client_metadata": {"redirect_uris": 1}}, "client_metadata.malformed"),
        ({"www_authenticate": ['Bearer resource_metadata="https://e.example"']}, "resource_metadata.url"),
    ],
)
def test_inconsistent_or_malformed_settings_are_refused_immediately(options: Any, code: str) -> None:
    with pytest.raises(oauth_core.OAuthError) as raised:
        oauth_core.ResourceConnection("https://mcp.example/mcp", **options)
    assert raised.value.code == code


def test_a_connection_without_any_client_is_refused(generic: Twin) -> None:
    with pytest.raises(oauth_core.MisuseError) as raised:
        connection(generic, Person(), client_name=None).token()
    assert raised.value.code == "connect.no_client"


@pytest.mark.parametrize("addresses", ["public_where_marked", "any"])
def test_an_internal_server_named_by_an_api_is_contacted_only_if_allowed(generic: Twin, addresses: Any) -> None:
    def answer(handler: Any) -> None:
        is_metadata = handler.path.startswith("/.well-known/oauth-protected-resource")
        document = {"resource": f"{api.base}/mcp", "authorization_servers": [generic.base]}
        body = json.dumps(document).encode()
        reply(200 if is_metadata else 401, body, content_type="application/json")(handler)

    api, person = StubServer(answer), Person()
    network = oauth_core.Network(addresses=addresses)
    options = {"client_name": "Notes", "open": person, **HERE, "network": network}
    api_connection = oauth_core.ResourceConnection(f"{api.base}/mcp", **options)
    if addresses == "any":
        assert api_connection.token().access_token
        return
    with pytest.raises(oauth_core.LostError) as lost:
        api_connection.token()
    assert lost.value.code == "lost.not_public"
    assert person.pages == []


def test_the_caller_may_reject_or_choose_among_several_authorization_servers(generic: Twin) -> None:
    servers: list[str] = ["http://127.0.0.1:1", generic.base]

    def answer(handler: Any) -> None:
        is_metadata = "oauth-protected-resource" in handler.path
        document = {"resource": f"{api.base}/mcp", "authorization_servers": servers}
        body = json.dumps(document).encode()
        reply(200 if is_metadata else 401, body, content_type="application/json")(handler)

    api, person = StubServer(answer), Person()

    def connection_to(**options: Any) -> oauth_core.ResourceConnection:
        options = {"client_name": "Notes", "open": person, **HERE, **options}
        network = oauth_core.Network(addresses="any")
        return oauth_core.ResourceConnection(f"{api.base}/mcp", network=network, **options)

    with pytest.raises(oauth_core.MisuseError) as several:
        connection_to(on_several_servers="error").token()
    assert several.value.code == "connect.several_servers"
    assert all(server in str(several.value) for server in servers)
    # The first server does not answer.
    with pytest.raises(oauth_core.LostError):
        connection_to().token()
    assert person.pages == []
    allowed = connection_to(issuers=[generic.base, servers[0]], on_several_servers="error")
    assert allowed.token().access_token
    assert len(person.pages) == 1
    with pytest.raises(oauth_core.MisuseError) as raised:
        connection_to(on_several_servers="ask")
    assert raised.value.code == "form.malformed_parameter"


def test_metadata_of_a_trusted_signer_selects_the_server(generic: Twin) -> None:
    resource = f"{generic.base}/api/echo"
    generic.sign_resource_metadata({"authorization_servers": ["https://signed.example"]})
    with urllib.request.urlopen(f"{generic.base}/jwks") as answer:
        keys = json.load(answer)
    person = Person()

    def connection_with(signer: str) -> oauth_core.ResourceConnection:
        return connection(generic, person, issuers=[generic.base], signers={signer: keys})

    with pytest.raises(oauth_core.MisuseError) as raised:
        connection_with(generic.base).token()
    assert raised.value.code == "connect.server_not_allowed"
    assert connection_with("https://other.example").get(resource).status == 200
    with pytest.raises(oauth_core.OAuthError) as raised_keys:
        connection(generic, person, signers={generic.base: []})
    assert raised_keys.value.code == "jwks.malformed"


def test_the_resource_parameter_is_omitted_if_configured(generic: Twin) -> None:
    generic.refuse_resources()
    person = Person()
    with pytest.raises(oauth_core.DeniedError) as refused:
        connection(generic, person).token()
    assert refused.value.code == "denied.invalid_target"
    api = connection(generic, person, without_resource=True)
    assert api.get(api.url).status == 200
    generic.expire()
    assert api.get(api.url).status == 200
    assert not any("resource" in dict(entry["form"]) for entry in generic.log if entry["path"] == "/token")


def test_the_configured_resource_is_sent_instead_of_the_api_url(generic: Twin) -> None:
    generic.rename_resource()
    person = Person()
    with pytest.raises(oauth_core.DeniedError) as refused:
        connection(generic, person).token()
    assert refused.value.code == "denied.invalid_target"
    api = connection(generic, person, resource="api://echo")
    assert api.get(api.url).status == 200
    generic.expire()
    assert api.get(api.url).status == 200
    sent = [dict(entry["form"]).get("resource") for entry in generic.log if entry["path"] == "/token"]
    assert sent == ["api://echo", "api://echo"]
    with pytest.raises(oauth_core.MisuseError) as both:
        connection(generic, person, resource="api://echo", without_resource=True)
    assert both.value.code == "arguments.inconsistent"


def test_a_client_is_identified_by_its_client_id_metadata_document(
    generic: Twin, plain: Callable[..., StubServer]
) -> None:
    generic.accept_client_id_metadata()
    documents: list[str] = []
    home = plain(lambda handler: reply(200, documents[0].encode(), content_type="application/json")(handler))
    url = f"{home.base}/client.json"
    server = oauth_core.discover(generic.base, transport="loopback_http")
    client = oauth_core.Client(server, client_id=url)
    metadata = {
        "client_name": "Notes",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
    }
    made = client.client_id_metadata(metadata=metadata, mcp=True)
    assert made.client_id == url and made.warnings == ()
    documents.append(made.document)
    api = connection(generic, Person(), client_name=None, client_metadata_url=url)
    assert api.get(api.url).json()["client_id"] == url
    assert "/register" not in paths(generic)
