"""Requests that are pushed because the server's metadata require it (RFC 9126 section 5), at npm's oidc-provider."""

from __future__ import annotations

import pytest
from conftest import ROOT, process
from test_fapi import client_of, parameters, signed_in
from test_identity import CALLBACK, Browser

import oauth_core


def test_a_request_is_pushed_if_the_metadata_require_it() -> None:
    folder = ROOT / "tests/interop/oidc-provider"
    with process(["env", "REQUIRE_PUSHED=yes", "node", "fapi.mjs"], folder) as said:
        client = client_of(said, "encrypted")
        with pytest.raises(oauth_core.Misuse) as error:
            client.authorize(redirect_uri=CALLBACK, scope="openid read")
        assert error.value.code == "authorization.push_required"
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid read")
        assert set(parameters(flow.url)) == {"client_id", "request_uri"}
        assert signed_in(client.redeem(flow, Browser().open(flow.url))) == "somebody"
