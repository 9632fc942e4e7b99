"""Vectors without conversations: URLs of APIs, and addresses that may be connected to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import ROOT, Answer, StubServer, reply

import oauth_core

VECTORS = json.loads((ROOT / "tests/vectors/vectors.json").read_text("utf-8"))["vectors"]


def vectors_starting_with(*beginnings: str) -> list[Any]:
    chosen = [vector for vector in VECTORS if vector["id"].startswith(beginnings)]
    return [pytest.param(vector["input"], vector["expected"], id=vector["id"]) for vector in chosen]


#: Of URLs that are right the package shows the text as given: their normal form is what it sends.
NO_RESOURCES = [one for one in vectors_starting_with("mcp-resource-") if "error" in one.values[1]]
#: Addresses that are allowed would be connected to: those are asked of the transport, in Rust.
ADDRESSES = [one for one in vectors_starting_with("ssrf-ip-", "ssrf-host-") if not one.values[1]["allowed"]]


def test_all_vectors_are_run() -> None:
    assert (len(NO_RESOURCES), len(ADDRESSES)) == (2, 29)


@pytest.mark.parametrize(("vector_input", "expected"), NO_RESOURCES)
def test_a_url_that_is_not_that_of_an_api_is_refused(vector_input: dict[str, str], expected: dict[str, str]) -> None:
    with pytest.raises(oauth_core.MisuseError) as refused:
        oauth_core.ResourceConnection(vector_input["server_url"])
    assert refused.value.code == "resource.syntax"


def code(url: str, addresses: Any) -> str:
    network = oauth_core.Network(addresses=addresses, proxy="direct", connect_timeout=0.5)
    origin = urlsplit(url)._replace(path="", query="", fragment="").geturl()
    with pytest.raises(oauth_core.OAuthError) as refused:
        oauth_core.fixed_token("t", origins=[origin], network=network).get(url)
    return refused.value.code


@pytest.mark.parametrize(("vector_input", "expected"), ADDRESSES)
def test_a_non_public_address_is_not_connected_to(vector_input: dict[str, str], expected: dict[str, Any]) -> None:
    address = vector_input.get("resolved_address", "")
    url = vector_input.get("url", f"https://[{address}]/" if ":" in address else f"https://{address}/")
    # An address or a name of this machine in disguise is not a host, and is not looked up.
    disguised = ("::ffff:", "//2130706433/", "//0x7f.1/", "//127.1/", "//localhost./")
    is_disguised = any(ours in url for ours in disguised)
    assert code(url, "public_only") == ("url.syntax" if is_disguised else "lost.not_public")


def test_with_addresses_any_an_internal_address_is_connected_to(plain: Callable[[Answer], StubServer]) -> None:
    inside = plain(reply(200)).base.replace("http:", "https:")
    assert code(inside, "any") != "lost.not_public"
    assert code(inside, "public_only") == "lost.not_public"
