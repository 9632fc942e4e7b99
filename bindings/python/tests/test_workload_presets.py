"""The tokens of SPIFFE, AWS, Azure and Google Cloud, read for each request as an assertion or for exchange."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer, StubServer, reply, server_at

import oauth_core

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ENTRA = "api://AzureADTokenExchange"
HIDDEN = "S3CR3T"


def token(audience: str, number: int) -> str:
    """A token as the platform would sign it; its signature is not verified here."""
    claims = {"sub": f"spiffe://example.org/{HIDDEN}-{number}", "aud": audience, "exp": int(time.time()) + 300}
    parts = (json.dumps(part).encode() for part in ({"alg": "ES256"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, b"signature"))


class Place:
    """A file or service from which a workload reads its token."""

    def __init__(self, platform: str, folder: Path, plain: Callable[[Answer], StubServer]) -> None:
        self.platform, self.now = platform, ""
        self.file = folder / "token"
        self.service = plain(self.answer)
        options: dict[str, dict[str, Any]] = {
            "spiffe": {"path": self.file, "environ": {}},
            "aws": {"environ": {"AWS_WEB_IDENTITY_TOKEN_FILE": str(self.file)}},
            "azure": {"environ": {"AZURE_FEDERATED_TOKEN_FILE": str(self.file)}},
            "gcp": {"environ": {"GCE_METADATA_HOST": self.service.base.removeprefix("http://")}},
        }
        self.options = options[platform]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Google's metadata service, which only responds to requests with its header."""
        is_known = request.headers["metadata-flavor"] == "Google"
        reply(200 if is_known else 403, self.now.encode(), content_type="text/plain")(request)

    def set_token(self, text: str) -> None:
        self.now = text
        self.file.write_text(f"{text}\n")


PLATFORMS = ["spiffe", "aws", "azure", "gcp"]


@pytest.fixture
def shop(plain: Callable[[Answer], StubServer]) -> StubServer:
    """A server that issues tokens for every request, and records the requests."""
    said = {
        "access_token": "a",
        "token_type": "Bearer",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    return plain(reply(200, json.dumps(said).encode(), content_type="application/json"))


def last_form(shop: StubServer) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(shop.seen[-1][3].decode()))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_token_in_place_of_a_secret_is_read_again_for_each_request(
    platform: Any, shop: StubServer, plain: Callable[[Answer], StubServer], tmp_path: Path
) -> None:
    place = Place(platform, tmp_path, plain)
    auth = oauth_core.WorkloadIdentity(platform, **place.options)
    client = oauth_core.Client(server_at(shop.base), client_id="me", client_auth=auth)
    audience = ENTRA if platform == "azure" else shop.base
    for number in (1, 2):
        place.set_token(token(audience, number))
        client.client_credentials(scope="read").token()
        form = last_form(shop)
        assert form["client_assertion"] == place.now
        assert form.get("client_id") == ("me" if platform == "azure" else None)
        is_spiffe = form["client_assertion_type"].endswith("jwt-spiffe")
        assert (form["client_assertion_type"] == JWT_BEARER, is_spiffe) == (platform != "spiffe", platform == "spiffe")
        assert "client_secret" not in form and "subject_token" not in form
    if platform == "gcp":
        asked = urllib.parse.urlsplit(place.service.seen[-1][1])
        assert asked.path == "/computeMetadata/v1/instance/service-accounts/default/identity"
        assert dict(urllib.parse.parse_qsl(asked.query)) == {"audience": shop.base, "format": "full"}
        assert len(place.service.seen) == 2
    # A token for another audience, or no token: nothing is sent.
    before = len(shop.seen)
    place.set_token(token("https://other.example", 3))
    with pytest.raises(oauth_core.MisuseError) as foreign:
        client.client_credentials().token()
    assert foreign.value.code == "client_auth.assertion_audience"
    place.set_token("")
    with pytest.raises(oauth_core.LostError) as empty:
        client.client_credentials().token()
    assert empty.value.code == "lost.unsent"
    assert len(shop.seen) == before
    assert HIDDEN not in f"{foreign.value!r} {empty.value!r} {client!r} {auth!r}"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_subject_token_is_read_again_for_each_exchange(
    platform: Any, shop: StubServer, plain: Callable[[Answer], StubServer], tmp_path: Path
) -> None:
    place = Place(platform, tmp_path, plain)
    auth = oauth_core.WorkloadIdentity(platform, exchange_audience="//pool", **place.options)
    client = oauth_core.Client(server_at(shop.base), client_id="me", client_auth=auth)
    for number in (1, 2):
        place.set_token(token("//pool", number))
        assert client.client_credentials(scope="read").token().access_token == "a"
        form = last_form(shop)
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
        assert (form["subject_token"], form["audience"]) == (place.now, "//pool")
        assert form["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt"
        assert "client_assertion" not in form


def test_a_callback_is_called_for_each_token(shop: StubServer) -> None:
    """The token comes from a function, such as one of a platform's library."""
    tokens = [token(shop.base, 1), token(shop.base, 2)]
    left = list(tokens)
    auth = oauth_core.FederatedAssertion(lambda _: left.pop(0))
    client = oauth_core.Client(server_at(shop.base), client_id="me", client_auth=auth)
    for expected in tokens:
        client.client_credentials().token()
        assert last_form(shop)["client_assertion"] == expected


@pytest.mark.parametrize(
    ("platform", "options", "code", "named"),
    [
        ("spiffe", {}, "workload.setup", "spiffe needs the path"),
        ("aws", {}, "environment.missing", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("azure", {}, "environment.missing", "AZURE_FEDERATED_TOKEN_FILE"),
        ("aws", {"variable": "X"}, "workload.setup", "aws has no variable"),
        ("gcp", {"path": "/x"}, "workload.setup", "gcp has no file"),
    ],
)
def test_missing_and_unsupported_platform_settings_are_named(shop: StubServer, platform: Any, options: Any, code: str, named: str) -> None:
    with pytest.raises(oauth_core.MisuseError) as refused:
        auth = oauth_core.WorkloadIdentity(platform, environ={}, **options)
        oauth_core.Client(server_at(shop.base), client_id="me", client_auth=auth)
    assert (refused.value.code, named in str(refused.value)) == (code, True), str(refused.value)
