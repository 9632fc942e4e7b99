"""Protected resource metadata (RFC 9728): blocking, in a coroutine, and step by step."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from conftest import Twin, generic_client

import oauth_core

PLACE = "/.well-known/oauth-protected-resource"
#: A challenge's URL is of the server's choice: to reach this machine has to be allowed.
ANY = {"network": oauth_core.Network(addresses="any")}


def api_client(twin: Twin, **options: Any) -> oauth_core.Client:
    server = oauth_core.discover(twin.base, transport="loopback_http")
    auth = oauth_core.Public()
    return oauth_core.Client(server, client_id="id", client_auth=auth, **options)


def challenges(twin: Twin) -> list[str]:
    """The challenges of the API in response to a request without a token."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{twin.base}/api/echo")
    with raised.value as response:
        return list(response.headers.get_all("www-authenticate", []))


def requested_paths(twin: Twin) -> list[str]:
    return [entry["path"] for entry in twin.log if entry["path"].startswith(PLACE)]


def code(client: oauth_core.Client, **arguments: Any) -> str:
    with pytest.raises(oauth_core.OAuthError) as raised:
        client.resource_metadata(**arguments)
    return raised.value.code


def test_an_api_names_the_issuer_of_its_tokens(generic: Twin) -> None:
    client = generic_client(generic)
    resource = f"{generic.base}/api/echo"
    found = client.resource_metadata(resource=resource)
    assert isinstance(found, oauth_core.ProtectedResourceMetadata)
    assert found.resource == resource
    assert found.authorization_servers == (generic.base,)
    assert found.scopes_supported == {"read", "write"}
    assert (found.requires_dpop, found.requires_mtls, found.dpop_algs) == (False, False, ())
    assert found.metadata["resource_name"] == "The twin's API"
    again = asyncio.run(client.aresource_metadata(resource=resource))
    assert again.metadata == found.metadata
    # Nothing of the client was sent.
    assert "authorization" not in generic.entry(f"{PLACE}/api/echo")["headers"]


def test_metadata_of_a_parent_resource_is_accepted_only_if_allowed(generic: Twin) -> None:
    client = generic_client(generic)
    below = f"{generic.base}/api"
    assert code(client, resource=below) == "denied.http_status"
    assert requested_paths(generic) == [f"{PLACE}/api"]
    parent = client.resource_metadata(resource=below, matching="parent")
    assert parent.resource == generic.base
    with pytest.raises(TypeError, match="matching"):
        client.resource_metadata(resource=below, matching="any")  # type: ignore[arg-type]


def test_metadata_is_fetched_from_the_url_in_a_challenge(generic: Twin) -> None:
    resource = f"{generic.base}/api/echo"
    challenge_headers = challenges(generic)
    client = api_client(generic, **ANY)
    assert client.resource_metadata(resource=resource, challenges=challenge_headers).resource == resource
    assert requested_paths(generic) == [f"{PLACE}/api/echo"]
    # It is the API's own origin, which the caller named.
    assert api_client(generic).resource_metadata(resource=resource, challenges=challenge_headers).resource == resource
    assert requested_paths(generic) == [f"{PLACE}/api/echo"] * 2
    strict = api_client(generic, network=oauth_core.Network(addresses="public_only"))
    assert code(strict, resource=resource) == "lost.not_public"
    assert requested_paths(generic) == [f"{PLACE}/api/echo"] * 2
    with pytest.raises(oauth_core.MisuseError, match="addresses"):
        oauth_core.Network(addresses="none")  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data", "https://evil.example/"])
def test_a_challenge_that_points_to_another_origin_is_rejected_before_anything_is_sent(
    generic: Twin, url: str
) -> None:
    generic.fault("other_resource_metadata", url=url)
    resource = f"{generic.base}/api/echo"
    challenge_headers = challenges(generic)
    assert code(generic_client(generic), resource=resource, challenges=challenge_headers) == (
        "resource_metadata.url"
    )
    assert requested_paths(generic) == []


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        ("other_resource", "resource_metadata.resource"),
        ("no_authorization_server", "resource_metadata.no_authorization_server"),
        ("redirect_to", "reply.redirect"),
        ("duplicate_member", "reply.duplicate_member"),
        ("html", "reply.content_type"),
    ],
)
def test_invalid_metadata_is_refused(generic: Twin, fault: str, refused: str) -> None:
    client = generic_client(generic)
    generic.fault(fault)
    assert code(client, resource=f"{generic.base}/api/echo") == refused
    assert len(requested_paths(generic)) == 1


def test_metadata_is_fetched_step_by_step(generic: Twin) -> None:
    client = generic_client(generic)
    exchange = client.exchange.resource_metadata(resource="http://127.0.0.1/mcp", matching="parent")
    step = next(exchange)
    assert isinstance(step, oauth_core.Send)
    assert (step.method, step.url) == ("GET", f"http://127.0.0.1{PLACE}/mcp")
    step = exchange.send((404, [], b""))
    assert isinstance(step, oauth_core.Send) and step.url == f"http://127.0.0.1{PLACE}"
    body = b'{"resource": "http://127.0.0.1", "authorization_servers": ["http://127.0.0.1:1"]}'
    with pytest.raises(StopIteration) as done:
        exchange.send((200, [(b"content-type", b"application/json")], body))
    assert done.value.value.authorization_servers == ("http://127.0.0.1:1",)
    assert code(client, resource="urn:example:api") == "resource.syntax"


def test_signed_metadata_takes_precedence_over_unsigned_metadata(generic: Twin) -> None:
    client = generic_client(generic)
    resource = f"{generic.base}/api/echo"
    claims = {"resource": resource, "authorization_servers": [generic.base], "resource_name": "Signed"}
    generic.sign_resource_metadata(claims)
    with urllib.request.urlopen(f"{generic.base}/jwks") as response:
        keys = json.load(response)
    plain = client.resource_metadata(resource=resource)
    assert (plain.signed_by, plain.metadata["resource_name"]) == (None, "The twin's API")
    signed = client.resource_metadata(resource=resource, signers={generic.base: keys})
    assert (signed.signed_by, signed.metadata["resource_name"]) == (generic.base, "Signed")
    other = client.resource_metadata(resource=resource, signers={"https://other.example": keys})
    assert other.signed_by is None
    assert code(client, resource=resource, signers={generic.base: []}) == "jwks.malformed"
