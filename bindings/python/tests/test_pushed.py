"""What is in requests, and how they come: pushed because the server's metadata require it (RFC 9126 section 5)."""

from __future__ import annotations

import json

import pytest
from conftest import ROOT, process
from test_fapi import client_of, offline, parameters, signed_in
from test_identity import CALLBACK, Browser

import oauth_core


def test_a_request_is_pushed_if_the_metadata_require_it() -> None:
    folder = ROOT / "tests/interop/oidc-provider"
    with process(["env", "REQUIRE_PUSHED=yes", "node", "fapi.mjs"], folder) as said:
        client = client_of(said, "encrypted")
        with pytest.raises(oauth_core.MisuseError) as error:
            client.authorize(redirect_uri=CALLBACK, scope="openid read")
        assert error.value.code == "authorization.push_required"
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid read")
        assert set(parameters(flow.url)) == {"client_id", "request_uri"}
        assert signed_in(client.redeem(flow, Browser().open(flow.url))) == "somebody"


def test_what_is_asked_of_the_person_and_about_them_is_in_the_request() -> None:
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
    asked = parameters(flow.url)
    assert asked["prompt"] == "login consent"
    assert asked["login_hint"] == "ann+1@example.com & co"
    assert asked["ui_locales"] == "de-CH fr en"
    assert json.loads(asked["claims"]) == claims
