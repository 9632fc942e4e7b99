"""Warnings about authorization requests."""

from __future__ import annotations

import pytest
from test_fapi import offline

import oauth_core


def test_a_request_with_a_known_problem_has_warnings() -> None:
    client = offline({"acr_values_supported": ["mfa"]})
    details = [{"type": "payment"}]
    uri = "https://app.example/cb"
    flow = client.authorize(redirect_uri=uri, acr_values=["gold"], authorization_details=details)
    assert flow.warnings == ("acr_values_unsupported", "authorization_details_unprotected")
    assert client.authorize(redirect_uri=uri, acr_values=["gold", "mfa"]).warnings == ()
    stored = oauth_core.PendingAuthorization.deserialize(flow.serialize())
    with pytest.raises(AttributeError):
        _ = stored.warnings
