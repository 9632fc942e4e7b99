"""What is known to be wrong with an authorization request that is made."""

from __future__ import annotations

import pytest
from test_fapi import offline

import oauth_core


def test_a_request_with_a_known_flaw_has_a_warning() -> None:
    client = offline({"acr_values_supported": ["mfa"]})
    details = [{"type": "payment"}]
    uri = "https://app.example/cb"
    flow = client.authorize(redirect_uri=uri, acr_values=["gold"], authorization_details=details)
    assert flow.warnings == ("acr_values_unsupported", "authorization_details_unprotected")
    assert client.authorize(redirect_uri=uri, acr_values=["gold", "mfa"]).warnings == ()
    stored = oauth_core.PendingAuthorization.deserialize(flow.serialize())
    with pytest.raises(AttributeError):
        _ = stored.warnings
