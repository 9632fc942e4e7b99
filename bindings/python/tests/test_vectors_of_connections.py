"""Vectors of `mcp` and `scope` about the requests of a connection: see tests/vectors/README.md."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from conftest import ROOT, StubServer, Twin, example, generic_client, process, reply
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from test_connection import HERE, Person

import oauth_core
import oauth_core.stores

VECTORS = json.loads((ROOT / "tests/vectors/vectors.json").read_text("utf-8"))["vectors"]


def connection(twin: Twin, **options: Any) -> oauth_core.ResourceConnection:
    options = {"timeout": 30.0, **HERE, **options}
    return oauth_core.ResourceConnection(f"{twin.base}/api/echo", **options)


def paths(twin: Twin) -> list[str]:
    return [entry["path"] for entry in twin.log]


def recorder(plain: Callable[..., StubServer], place: str = "/mcp", **changes: Any) -> StubServer:
    """An API and its server, which remembers what registers, and the forms of token requests, assertions too."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        base = server.base
        registered = json.loads(server.seen[-1][3]) if handler.path == "/register" else {}
        canned_responses: dict[str, Any] = {
            f"/.well-known/oauth-protected-resource{place}": {
                "resource": f"{base}{place}",
                "authorization_servers": [base],
                "scopes_supported": ["mcp:read"],
            },
            "/.well-known/oauth-authorization-server": {
                "issuer": base,
                "token_endpoint": f"{base}/token",
                "authorization_endpoint": f"{base}/authorize",
                "registration_endpoint": f"{base}/register",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt", "client_secret_post"],
                "client_id_metadata_document_supported": True,
                "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
            },
            "/register": {**registered, "client_id": "registered", **changes},
            "/token": {"access_token": "a", "token_type": "Bearer", "expires_in": 60},
        }
        found = canned_responses.get(handler.path)
        text = json.dumps(found or {}).encode()
        reply(200 if found else 404, text, content_type="application/json")(handler)

    server = plain(respond)
    return server


def sent(server: StubServer) -> dict[str, str]:
    """The form of the first token request."""
    body = next(body for _, path, _, body in server.seen if path == "/token")
    return dict(parse_qsl(body.decode()))


def metadata_url(plain: Callable[..., StubServer], *servers: Twin) -> str:
    """The URL of a client's metadata document, which these servers take as the client's id."""
    for server in servers:
        server.accept_client_id_metadata()
    text: list[str] = []
    home = plain(lambda handler: reply(200, text[0].encode(), content_type="application/json")(handler))
    url = f"{home.base}/client.json"
    grants = ["authorization_code", "refresh_token"]
    metadata = {"client_name": "Notes", "redirect_uris": ["http://127.0.0.1/callback"], "grant_types": grants}
    client = oauth_core.Client(oauth_core.discover(servers[0].base, **HERE), client_id=url)
    text.append(client.client_id_metadata(metadata=metadata, mcp=True).document)
    return url


def test_scope_mcp_none(generic: Twin) -> None:
    """No scope is requested if neither the challenge nor the metadata contains one."""
    # Of the API, and of the server, whose offline_access would be asked for.
    for _ in range(2):
        generic.fault("without_member", member="scopes_supported")
    person = Person()
    connection(generic, client_name="Notes", open=person).token()
    assert [entry["fault"] for entry in generic.log].count("without_member") == 2
    [page] = person.pages
    assert "scope" not in parse_qs(urlsplit(page).query)


def test_mcp_application_type(plain: Callable[..., StubServer]) -> None:
    """A client with a loopback redirect URI registers as a native application."""
    server = recorder(plain)

    def nobody(url: str) -> None:
        raise LookupError("nobody is there")

    api = oauth_core.ResourceConnection(f"{server.base}/mcp", client_name="Notes", open=nobody, **HERE)
    with pytest.raises(LookupError, match="nobody"):
        api.token()
    [metadata] = [json.loads(body) for _, path, _, body in server.seen if path == "/register"]
    assert metadata["application_type"] == "native"


def test_a_loopback_redirect_uri_may_be_registered_without_its_port(plain: Callable[..., StubServer]) -> None:
    """It covers every port (RFC 8252 section 7.3)."""
    server = recorder(plain, redirect_uris=["http://127.0.0.1/callback"])
    pages: list[str] = []

    def nobody(url: str) -> None:
        pages.append(url)
        raise LookupError("nobody is there")

    api = oauth_core.ResourceConnection(f"{server.base}/mcp", client_name="Notes", open=nobody, **HERE)
    with pytest.raises(LookupError, match="nobody"):
        api.token()
    [metadata] = [json.loads(body) for _, path, _, body in server.seen if path == "/register"]
    [page] = pages
    assert parse_qs(urlsplit(page).query)["redirect_uri"] == metadata["redirect_uris"]


def test_mcp_cc_no_registration(generic: Twin) -> None:
    """A client with client credentials does not register itself."""
    with pytest.raises(oauth_core.OAuthError) as refused:
        connection(generic, client_name="Notes", grant_type="client_credentials").token()
    assert refused.value.code == "client_auth.no_usable_method"
    assert "/register" not in paths(generic)


def signing_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key.decode()


def decode_claims(jwt: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(jwt.split(".")[1] + "=="))


def test_mcp_cc_jwt(plain: Callable[..., StubServer]) -> None:
    """The audience of an assertion is only the issuer (RFC 10070)."""
    server = recorder(plain)
    client: Any = {"client_id": "id", "client_auth": oauth_core.PrivateKeyJwt(signing_key()), "issuer": server.base}
    api = oauth_core.ResourceConnection(f"{server.base}/mcp", grant_type="client_credentials", **client, **HERE)
    assert api.token().access_token == "a"
    form = sent(server)
    assert decode_claims(form.pop("client_assertion"))["aud"] == server.base
    assert form == {
        "grant_type": "client_credentials",
        "scope": "mcp:read",
        "resource": f"{server.base}/mcp",
        "client_id": "id",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }


def test_mcp_cc_b(plain: Callable[..., StubServer]) -> None:
    """The server is discovered as usual, and the audience can be the token endpoint if the server requires it."""
    server = recorder(plain)
    endpoint = f"{server.base}/token"
    auth = oauth_core.PrivateKeyJwt(signing_key(), audience=endpoint)
    client: Any = {"client_id": "id", "client_auth": auth, "issuer": server.base}
    api = oauth_core.ResourceConnection(f"{server.base}/mcp", grant_type="client_credentials", **client, **HERE)
    assert api.token().access_token == "a"
    requests = [path for _, path, _, _ in server.seen]
    expected = ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server", "/token"]
    assert [path for path in requests if path in expected] == expected
    assert decode_claims(sent(server)["client_assertion"])["aud"] == endpoint


def test_mcp_wif_a(plain: Callable[..., StubServer]) -> None:
    """The JWT of a workload is sent unchanged, with the resource."""
    server = recorder(plain)
    claims = {"iss": "https://platform.example", "sub": "workload", "aud": f"{server.base}/token"}
    parts = (json.dumps(part).encode() for part in ({"alg": "ES256"}, claims))
    jwt = ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2ln"])
    client = oauth_core.Client(oauth_core.discover(server.base, **HERE), client_id="id", client_auth=oauth_core.Public())
    assert client.jwt_bearer(assertion=jwt, resource=[f"{server.base}/mcp"]).access_token == "a"
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert sent(server) == {"grant_type": grant, "assertion": jwt, "resource": f"{server.base}/mcp", "client_id": "id"}


def test_mcp_cimd_portable(plain: Callable[..., StubServer]) -> None:
    """The document identifies the client at each server, and each server issues its tokens."""
    store = oauth_core.stores.MemoryStore()
    two = [process(example("twins"), ROOT) for _ in range(2)]
    with two[0] as one, two[1] as other:
        servers = [Twin(bases["generic"]) for bases in (one, other)]
        url = metadata_url(plain, *servers)
        for twin in servers:
            person = Person()
            api = connection(twin, client_metadata_url=url, open=person, store=store)
            assert api.get(api.url).json()["client_id"] == url
            assert (len(person.pages), api.token().issuer) == (1, twin.base)


def test_mcp_ema_cimd(twins: dict[str, Twin], plain: Callable[..., StubServer]) -> None:
    """An identity provider issues assertions for a client with a metadata document."""
    idp, server = twins["identity-provider"], recorder(plain)
    url = "https://client.example.com/client.json"
    idp.vouch_to(server.base, url)
    client = generic_client(idp)
    sign_in: Any = {"identity_provider": client, "sign_in": client.source(idp.signed_in(client))}
    api = oauth_core.ResourceConnection(f"{server.base}/mcp", client_metadata_url=url, **sign_in, **HERE)
    assert api.token().access_token == "a"
    form = sent(server)
    assert (form["grant_type"], form["client_id"]) == ("urn:ietf:params:oauth:grant-type:jwt-bearer", url)


#: Those whose host has another normal form would be connected to.
RESOURCES = [one for one in VECTORS if one["id"] in ("mcp-resource-1", "mcp-resource-4", "mcp-resource-5")]


def test_all_resource_vectors_are_included() -> None:
    assert len(RESOURCES) == 3


@pytest.mark.parametrize("vector", RESOURCES, ids=[one["id"] for one in RESOURCES])
def test_mcp_resource(plain: Callable[..., StubServer], vector: dict[str, Any]) -> None:
    """Tokens are requested for the normalized URL of the API."""
    server_path, expected_path = (urlsplit(vector[side][name]).path for side, name in (("input", "server_url"), ("expected", "resource")))
    server = recorder(plain, expected_path)
    client: Any = {"client_id": "id", "client_secret": "secret", "issuer": server.base}
    api = oauth_core.ResourceConnection(f"{server.base}{server_path}", grant_type="client_credentials", **client, **HERE)
    assert api.token().access_token == "a"
    assert sent(server)["resource"] == f"{server.base}{expected_path}"
