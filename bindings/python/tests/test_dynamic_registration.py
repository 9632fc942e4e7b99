"""Clients that register themselves (RFC 7591), and what they do with that afterwards (RFC 7592)."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from conftest import CALLBACK, Twin, approve
from cryptography.hazmat.primitives.asymmetric import ec

import oauth_core

ASKED: dict[str, Any] = {
    "redirect_uris": [CALLBACK],
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["authorization_code", "client_credentials"],
    "client_name": "App",
}


def discover_server(twin: Twin) -> oauth_core.Server:
    server = oauth_core.discover(twin.base, transport="loopback_http")
    assert isinstance(server, oauth_core.Server)
    return server


def error_code(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.code)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_a_registered_client_logs_users_in(generic: Twin, method: str) -> None:
    server = discover_server(generic)
    registration = oauth_core.Client(server).register(metadata={**ASKED, "token_endpoint_auth_method": method})
    assert isinstance(registration, oauth_core.RegisteredClient)
    assert registration.token_endpoint_auth_method == method and registration.redirect_uris == (CALLBACK,)
    assert (registration.client_secret is None) == (method == "none") and registration.client_secret_expires_at is None
    assert registration.client_id_issued_at is not None and registration.metadata["client_name"] == "App"

    client = oauth_core.Client(server, registered=registration.stored)
    assert client.client_id == registration.client_id
    flow = client.authorize(redirect_uri=CALLBACK, scope="read")
    tokens = client.redeem(flow, approve(flow.url))
    assert tokens.client_id == registration.client_id
    with pytest.raises(oauth_core.MisuseError) as refused:
        client.authorize(redirect_uri="https://app.example/other")
    assert error_code(refused) == "redirect_uri.not_registered"


def test_a_registration_is_read_updated_and_deleted(generic: Twin) -> None:
    server = discover_server(generic)
    unregistered_client = oauth_core.Client(server)
    first = unregistered_client.register(metadata=ASKED)
    read = asyncio.run(unregistered_client.aread_registration(registered=first.stored))
    assert read.client_secret == first.client_secret
    assert read.registration_access_token != first.registration_access_token
    with pytest.raises(oauth_core.DeniedError) as spent:
        unregistered_client.read_registration(registered=first.stored)
    assert error_code(spent) == "denied.invalid_token"

    new = {**ASKED, "token_endpoint_auth_method": "client_secret_post", "client_name": "New"}
    updated = unregistered_client.update_registration(registered=read.stored, metadata=new)
    assert updated.metadata["client_name"] == "New"
    client = oauth_core.Client(server, registered=updated.stored)
    source = client.client_credentials(scope="read")
    assert source.token().access_token

    unregistered_client.delete_registration(registered=updated.stored)
    with pytest.raises(oauth_core.DeniedError) as error:
        unregistered_client.read_registration(registered=updated.stored)
    assert error_code(error) == "denied.invalid_token"
    with pytest.raises(oauth_core.DeniedError) as error:
        oauth_core.Client(server, registered=updated.stored).client_credentials(scope="read").token()
    assert error_code(error) == "denied.invalid_client"


def test_registration_requires_a_valid_initial_access_token(generic: Twin) -> None:
    generic._control("initial_access_token", {"token": "S3CR3T-init"})
    unregistered_client = oauth_core.Client(discover_server(generic))
    with pytest.raises(oauth_core.DeniedError) as refused:
        unregistered_client.register(metadata=ASKED, initial_access_token="S3CR3T-other")
    assert error_code(refused) == "denied.invalid_token" and "S3CR3T" not in str(refused.value)
    assert unregistered_client.register(metadata=ASKED, initial_access_token="S3CR3T-init").client_id


def test_a_trusted_software_statement_overrides_the_metadata_of_the_client(generic: Twin) -> None:
    """RFC 7591 section 2.3."""
    private = ec.generate_private_key(ec.SECP256R1())
    claims = {
        "iss": "https://publisher.example", "software_id": "4NRB1",
        "client_name": "The stated", "redirect_uris": [CALLBACK],
    }
    statement = jwt.encode(claims, private, "ES256")
    metadata = {**ASKED, "client_name": "Another", "software_statement": statement}
    unregistered_client = oauth_core.Client(discover_server(generic))
    with pytest.raises(oauth_core.DeniedError) as refused:
        unregistered_client.register(metadata=metadata)
    assert error_code(refused) == "denied.unapproved_software_statement"
    key = jwt.algorithms.ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    generic._control("trust_publisher", {"issuer": "https://publisher.example", "jwks": {"keys": [key]}})
    registration = unregistered_client.register(metadata=metadata)
    assert registration.metadata["client_name"] == "The stated"
    # The statement was for this request, and is not sent again.
    assert "software_statement" not in registration.metadata


def test_contradictory_metadata_is_not_sent(generic: Twin) -> None:
    unregistered_client = oauth_core.Client(discover_server(generic))
    for metadata, code in [
        ({}, "client_metadata.inconsistent"),
        ({**ASKED, "response_types": ["code id_token"]}, "client_metadata.inconsistent"),
        ({**ASKED, "client_secret": "mine"}, "client_metadata.malformed"),
        ({**ASKED, "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}, "client_metadata.private_key"),
        ({**ASKED, "token_endpoint_auth_method": "private_key_jwt"}, "client_metadata.keys_missing"),
    ]:
        with pytest.raises(oauth_core.MisuseError) as refused:
            unregistered_client.register(metadata=metadata)
        assert error_code(refused) == code
    assert not [entry for entry in generic.log if entry["path"] == "/register"]
    with pytest.raises(oauth_core.DeniedError) as refused_there:
        unregistered_client.register(metadata={**ASKED, "redirect_uris": [CALLBACK, "http://127.0.0.1/cb"]})
    assert error_code(refused_there) == "denied.invalid_redirect_uri"


def test_a_client_without_an_id_can_only_register(generic: Twin) -> None:
    unregistered_client = oauth_core.Client(discover_server(generic))
    assert unregistered_client.client_id == ""
    calls: list[Callable[[], object]] = [
        lambda: unregistered_client.client_credentials(scope="read").token(),
        lambda: unregistered_client.authorize(redirect_uri=CALLBACK),
        lambda: unregistered_client.revoke(token="t0ken"),
    ]
    for call in calls:
        with pytest.raises(oauth_core.MisuseError) as refused:
            call()
        assert error_code(refused) == "client_auth.client_id"


def test_the_stored_registration_is_secret_and_bound_to_its_server(generic: Twin) -> None:
    server = discover_server(generic)
    registration = oauth_core.Client(server).register(metadata=ASKED)
    secrets = [registration.client_secret, registration.registration_access_token]
    assert all(secret and secret in registration.stored and secret not in repr(registration) for secret in secrets)
    with pytest.raises(TypeError):
        pickle.dumps(registration)
    other = oauth_core.Server.from_metadata("https://as.example", {"issuer": "https://as.example"})
    with pytest.raises(oauth_core.UntrustedError) as foreign:
        oauth_core.Client(other, registered=registration.stored)
    assert error_code(foreign) == "stored.issuer"
    with pytest.raises(oauth_core.MisuseError) as malformed:
        oauth_core.Client(server, registered=json.dumps({**json.loads(registration.stored), "client_id": 7}))
    assert error_code(malformed) == "stored.malformed"
    for more in ({"client_id": "id"}, {"client_secret": "s"}):
        with pytest.raises(TypeError):
            oauth_core.Client(server, registered=registration.stored, **more)  # type: ignore[call-overload]


def test_a_client_id_metadata_document_is_created_and_validated(generic: Twin) -> None:
    client = oauth_core.Client(discover_server(generic), client_id="https://app.example/client.json")
    metadata = {"client_name": "App", "redirect_uris": [CALLBACK]}
    made = client.client_id_metadata(metadata=metadata)
    assert isinstance(made, oauth_core.ClientIdMetadataDocument)
    document = json.loads(made.document)
    assert document == {
        **metadata,
        "client_id": "https://app.example/client.json",
        "token_endpoint_auth_method": "none",
        "application_type": "web",
    }
    again = asyncio.run(client.aclient_id_metadata(metadata=document, mcp=True))
    assert again.document == made.document

    def fault(client: oauth_core.Client = client, *, mcp: bool = False, **members: Any) -> str:
        with pytest.raises(oauth_core.MisuseError) as error:
            client.client_id_metadata(metadata={**document, **members}, mcp=mcp)
        return error_code(error)

    assert fault(client_id="https://app.example/Client.json") == "client_id_metadata.client_id"
    assert fault(client_secret="s") == "client_id_metadata.client_secret"
    assert fault(token_endpoint_auth_method="client_secret_basic") == "client_id_metadata.shared_secret"
    assert fault(client_name=" ", mcp=True) == "client_metadata.name_missing"
    assert fault(oauth_core.Client(discover_server(generic), client_id="app")) == "client_id_metadata.url"
    large = client.client_id_metadata(metadata={**metadata, "x": "x" * 6000})
    assert large.warnings == ("large",)
