"""Compressed responses that expand to far more than the limit, over third-party HTTP clients."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from conftest import Answer, StubServer, reply, server_at

import oauth_core
from oauth_core import drive

Start = Callable[[Answer], StubServer]
TOKENS = {"access_token": "t", "token_type": "Bearer"}
MIB = 1 << 20

CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
CLIENTS = [httpx.Client, httpx2.Client]
ASYNC_CLIENTS = [httpx.AsyncClient, httpx2.AsyncClient]


def exchange_at(base: str) -> oauth_core.Exchange[oauth_core.Tokens]:
    auth = oauth_core.ClientSecretPost("top secret")
    client = oauth_core.Client(server_at(base), client_id="id", client_auth=auth)
    return client.exchange.client_credentials()


def packed(coding: str, value: object) -> Answer:
    body = CODINGS[coding](json.dumps(value).encode())
    return reply(200, body, content_type="application/json", content_encoding=coding)


def fetch_tokens(base: str, http: Any) -> oauth_core.Tokens:
    if hasattr(http, "__aenter__"):

        async def main() -> oauth_core.Tokens:
            async with http:
                return await drive.arun(exchange_at(base), http)

        return asyncio.run(main())
    with http:
        return drive.run(exchange_at(base), http)


@pytest.mark.parametrize("make", [*CLIENTS, *ASYNC_CLIENTS])
def test_responses_are_requested_uncompressed_but_decompressed_if_necessary(
    plain: Start, make: Callable[[], Any]
) -> None:
    for coding in CODINGS:
        server = plain(packed(coding, TOKENS))
        assert fetch_tokens(server.base, make()).access_token == "t"
        (_, _, headers, _) = server.seen[0]
        assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("make", [*CLIENTS, *ASYNC_CLIENTS])
@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_decompresses_to_more_than_a_mebibyte_is_too_large(
    plain: Start, coding: str, make: Callable[[], Any]
) -> None:
    exact = json.dumps(TOKENS).encode()
    exact += b" " * (MIB - len(exact))
    for body, code in [(exact, None), (exact + b" ", "reply.too_large")]:
        assert len(CODINGS[coding](body)) < 10_000
        response = reply(
            200, CODINGS[coding](body), content_type="application/json", content_encoding=coding
        )
        server = plain(response)
        if code is None:
            assert fetch_tokens(server.base, make()).access_token == "t"
            continue
        with pytest.raises(oauth_core.MalformedError) as caught:
            fetch_tokens(server.base, make())
        assert caught.value.code == code


@pytest.mark.parametrize("make", [httpx.Client, httpx.AsyncClient])
def test_a_body_that_cannot_be_decompressed_is_reported_as_lost(plain: Start, make: Callable[[], Any]) -> None:
    whole = gzip.compress(json.dumps(TOKENS).encode())
    for coding, body in [
        ("br", b"anything"),
        ("gzip, gzip", gzip.compress(whole)),
        ("gzip", b"not packed"),
        ("gzip", whole[:-1]),
    ]:
        response = reply(200, body, content_type="application/json", content_encoding=coding)
        with pytest.raises(oauth_core.LostError) as caught:
            fetch_tokens(plain(response).base, make())
        assert caught.value.__cause__ is not None, coding


def test_an_empty_response_with_a_content_encoding_is_accepted(plain: Start) -> None:
    server = plain(reply(200, content_encoding="gzip"))
    auth = oauth_core.ClientSecretPost("top secret")
    client = oauth_core.Client(server_at(server.base), client_id="id", client_auth=auth)
    with httpx.Client() as http:
        assert drive.run(client.exchange.revoke(token="a token"), http) is None


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_response_of_a_mock_transport_is_accepted(library: Any) -> None:
    made = library.MockTransport(lambda _: library.Response(200, json=TOKENS))
    with library.Client(transport=made) as http:
        tokens = drive.run(exchange_at("http://127.0.0.1:1"), http)
    assert tokens.access_token == "t"


def shapes() -> dict[str, bytes]:
    """Replies of a mebibyte on the wire or after it, each the worst of its kind."""
    spaces = b" " * (64 * MIB)
    text = json.dumps({**TOKENS, "x": ""}).encode()[:-2]
    return {
        "gzip": gzip.compress(spaces),
        "deflate": zlib.compress(spaces),
        "identity": text + b"x" * (MIB - len(text) - 2) + b'"}',
        "many": b"[" + b"[]," * (MIB // 3 - 1) + b"0]",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("door", ["run", "arun", "run2"])
@pytest.mark.parametrize("shape", ["gzip", "deflate", "identity", "many"])
def test_decompressing_a_response_uses_at_most_16_mebibytes(
    plain: Start, tmp_path: Path, shape: str, door: str
) -> None:
    fields = {"content_type": "application/json"}
    if shape in CODINGS:
        fields["content_encoding"] = shape
    bad = plain(reply(200, shapes()[shape], **fields))
    valid_reply = plain(packed("gzip", TOKENS))
    script = tmp_path / "peak.py"
    script.write_text(PEAK)
    command = [sys.executable, str(script), door, valid_reply.base, bad.base]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, grown = done.stdout.split()
    expected = {"identity": "none", "many": "reply.too_many_values"}
    assert code == expected.get(shape, "reply.too_large")
    assert int(grown) <= 16 << 10, f"{grown} KiB"


PEAK = """
import asyncio, sys
from pathlib import Path
import httpx, httpx2, oauth_core
from oauth_core import drive

door, good, bad = sys.argv[1:]

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

def ask(base):
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    auth = oauth_core.ClientSecretPost("top secret")
    exchange = oauth_core.Client(server, client_id="id", client_auth=auth).exchange.client_credentials()
    if door == "arun":
        async def main():
            async with httpx.AsyncClient() as http:
                return await drive.arun(exchange, http)
        return asyncio.run(main())
    with (httpx2 if door == "run2" else httpx).Client() as http:
        return drive.run(exchange, http)

# The first call initializes the libraries, whose memory is not counted.
ask(good)
Path("/proc/self/clear_refs").write_text("5")
before = peak()
try:
    ask(bad)
    code = "none"
except oauth_core.OAuthError as error:
    code = error.code
print(code, peak() - before)
"""
