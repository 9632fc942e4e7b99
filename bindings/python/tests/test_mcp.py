"""MCP servers built with three SDKs, called by the official Python SDK with our tokens."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import browse, mcp_server
from mcp import Client
from mcp.client import advertise
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

import oauth_core
import oauth_core.httpx2
import oauth_core.stores


class Server:
    """A server, and a user who approves every page."""

    def __init__(self, server_info: dict[str, str]) -> None:
        self.url, self.control = server_info["url"], server_info["control"]
        self.pages = 0

    def control_server(self, what: str) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.control}/{what}", method="POST"))

    def counts(self) -> Counter[str]:
        with urllib.request.urlopen(f"{self.control}/counts") as reply:
            return Counter(json.load(reply))

    def connection(self, **options: Any) -> oauth_core.ResourceConnection:
        def count_and_browse(page: str) -> None:
            self.pages += 1
            browse(page)

        return oauth_core.ResourceConnection(
            self.url,
            client_name="Notes",
            open=count_and_browse,
            timeout=30.0,
            transport="loopback_http",
            network=oauth_core.Network(addresses="any"),
            **options,
        )


@pytest.fixture(params=["python", "typescript", "rust"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with mcp_server(request.param) as server_info:
        yield Server(server_info)


def call_tools(api: oauth_core.ResourceConnection, *tools: str) -> list[str]:
    """The results of the tools, each called over its own connection."""

    async def call() -> list[str]:
        results = []
        for tool in tools:
            auth = oauth_core.httpx2.Auth(api)
            timeout = httpx2.Timeout(30, read=300)
            async with httpx2.AsyncClient(auth=auth, timeout=timeout) as http:
                async with Client(streamable_http_client(api.url, http_client=http)) as client:
                    arguments = {"text": "hello"} if tool == "echo" else {}
                    result = await client.call_tool(tool, arguments)
                    [content_block] = result.content
                    assert isinstance(content_block, TextContent)
                    results.append(content_block.text)
        return results

    return asyncio.run(call())


def codes(failure: BaseException) -> list[str]:
    """The codes of our errors in the exception groups of the SDK."""
    if isinstance(failure, BaseExceptionGroup):
        return [code for each in failure.exceptions for code in codes(each)]
    return [failure.code] if isinstance(failure, oauth_core.OAuthError) else []


def test_the_first_call_registers_the_client_and_logs_in(server: Server) -> None:
    assert call_tools(server.connection(), "echo", "echo") == ["hello", "hello"]
    counts = server.counts()
    assert (counts["registrations"], counts["code_redemptions"], server.pages) == (1, 1, 1)
    assert counts["tool_calls"] == 2


def test_an_expired_token_is_refreshed_once(server: Server) -> None:
    api = server.connection()
    call_tools(api, "echo")
    server.control_server("expire_tokens")
    assert call_tools(api, "echo") == ["hello"]
    counts = server.counts()
    assert (counts["refreshes"], counts["refresh_token_reuses"], server.pages) == (1, 0, 1)


def test_a_client_that_the_server_has_forgotten_registers_again_once(server: Server) -> None:
    api = server.connection()
    call_tools(api, "echo")
    server.control_server("forget_clients")
    assert call_tools(api, "echo", "echo") == ["hello", "hello"]
    assert server.counts()["registrations"] == 2
    assert server.pages == 2


def test_a_wider_scope_of_a_tool_is_requested_from_the_user_once(server: Server) -> None:
    api = server.connection()
    assert call_tools(api, "echo")
    results = call_tools(api, "secret_tool", "secret_tool")
    assert len(set(results)) == 1 and results[0]
    assert server.pages == 2
    # A server that always requires more scope does not cause endless logins.
    server.control_server("require_scope/mcp:other")
    pages = []
    for _ in range(3):
        with pytest.raises(BaseException) as raised:
            call_tools(api, "secret_tool")
        pages.append(server.pages)
    assert pages[0] <= 3 and pages[2] == pages[1], pages
    [code] = codes(raised.value)
    assert code.startswith("step_up."), code
    assert call_tools(api, "echo") == ["hello"]


def test_a_later_run_does_not_register_again(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        store = oauth_core.stores.FileStore(tmp_path)
        assert call_tools(server.connection(store=store), "echo") == ["hello"]
    assert (server.counts()["registrations"], server.pages) == (1, 1)


@pytest.mark.parametrize("grant", ["authorization_code", "client_credentials", "identity_assertion"])
def test_a_connection_declares_the_mcp_authorization_extension_that_it_uses(grant: str) -> None:
    client_options: Any = {"client_id": "id", "client_secret": "s", "issuer": "https://as.example"}
    keys = {"client_credentials": "io.modelcontextprotocol/oauth-client-credentials"}
    if grant == "identity_assertion":
        keys[grant] = "io.modelcontextprotocol/enterprise-managed-authorization"
        idp = oauth_core.Server.from_metadata("https://idp.example", {"issuer": "https://idp.example"})
        provider = oauth_core.Client(idp, client_id="id", client_secret="s")
        sign_in = oauth_core.fixed_token("t", origins=["https://idp.example"])
        client_options |= {"identity_provider": provider, "sign_in": sign_in}
    else:
        client_options["grant_type"] = grant
    api = oauth_core.ResourceConnection("https://mcp.example/mcp", **client_options)
    declared: dict[str, dict[str, Any]] = {keys[grant]: {}} if grant in keys else {}
    assert api.extensions == declared
    sent_messages: list[dict[str, Any]] = []

    def refuse(request: httpx2.Request) -> httpx2.Response:
        sent_messages.append(json.loads(request.content))
        return httpx2.Response(500)

    async def call() -> None:
        extensions = [advertise(key, settings) for key, settings in api.extensions.items()]
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(refuse)) as http:
            transport = streamable_http_client(api.url, http_client=http)
            async with Client(transport, mode="legacy", extensions=extensions):
                pass

    with pytest.raises(BaseException):
        asyncio.run(call())
    assert sent_messages[0]["method"] == "initialize"
    assert sent_messages[0]["params"]["capabilities"].get("extensions") == (declared or None)
