"""Pushed authorization requests (RFC 9126), and the parameters of requests."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from conftest import ROOT, Answer, StubServer, process, reply
from test_fapi import make_client, offline, parameters, signed_in
from test_identity import CALLBACK, Browser

import oauth_core


def test_a_request_is_pushed_if_the_metadata_require_it() -> None:
    folder = ROOT / "tests/interop/oidc-provider"
    with process(["env", "REQUIRE_PUSHED=yes", "node", "fapi.mjs"], folder) as server_info:
        client = make_client(server_info, "encrypted")
        with pytest.raises(oauth_core.MisuseError) as error:
            client.authorize(redirect_uri=CALLBACK, scope="openid read")
        assert error.value.code == "authorization.push_required"
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid read")
        assert set(parameters(flow.url)) == {"client_id", "request_uri"}
        assert signed_in(client.redeem(flow, Browser().open(flow.url))) == "somebody"


@pytest.mark.parametrize("status", [405, 413])
def test_a_push_rejected_with_status_405_or_413_is_not_repeated(
    plain: Callable[[Answer], StubServer], status: int
) -> None:
    """RFC 9126 section 2.3: a request that is too large would be rejected again."""
    place = plain(reply(status, b"<html>no</html>", content_type="text/html"))
    metadata = {
        "issuer": place.base,
        "authorization_endpoint": f"{place.base}/authorize",
        "pushed_authorization_request_endpoint": f"{place.base}/par",
        "require_pushed_authorization_requests": True,
    }
    server = oauth_core.Server.from_metadata(place.base, metadata, transport="loopback_http")
    client = oauth_core.Client(server, client_id="id")
    with pytest.raises(oauth_core.DeniedError) as error:
        client.begin_authorization(redirect_uri="https://app.example/cb")
    assert (error.value.code, error.value.status) == ("denied.http_status", status)
    assert error.value.advice == "give_up"
    assert [path for _, path, _, _ in place.seen] == ["/par"]


def test_the_request_contains_the_authentication_and_claims_parameters() -> None:
    """OpenID Connect Core sections 3.1.2.1 and 5.5."""
    claims = {"id_token": {"auth_time": {"essential": True}}, "userinfo": {"email": None}}
    client = offline()
    flow = client.authorize(
        redirect_uri="https://app.example/cb",
        prompt="login consent",
        login_hint="ann+1@example.com & co",
        ui_locales=["de-CH", "fr", "en"],
        claims=claims,
    )
    query = parameters(flow.url)
    assert query["prompt"] == "login consent"
    assert query["login_hint"] == "ann+1@example.com & co"
    assert query["ui_locales"] == "de-CH fr en"
    assert json.loads(query["claims"]) == claims
