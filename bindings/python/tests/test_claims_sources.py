"""Aggregated and distributed claims: told apart, neither fetched nor verified."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

import oauth_core

# The example of OpenID Connect Core section 5.6.2.
CLAIMS = {
    "sub": "jane",
    "_claim_names": {"address": "src1", "phone_number": "src1", "credit_score": "src2"},
    "_claim_sources": {
        "src1": {"JWT": "jwt_header.jwt_part2.jwt_part3"},
        "src2": {"endpoint": "https://creditagency.example.com/claims", "access_token": "ksj3n283dke"},
        "src3": {"endpoint": "https://bank.example.com/claims"},
    },
}


@pytest.mark.parametrize("claims", [CLAIMS, MappingProxyType(CLAIMS)])
def test_claims_of_other_parties_are_distinguished(claims: Any) -> None:
    first, second, third = oauth_core.claims_sources(claims)
    assert (first.name, sorted(first.claims)) == ("src1", ["address", "phone_number"])
    assert first.jwt == "jwt_header.jwt_part2.jwt_part3"
    assert (first.endpoint, first.access_token) == (None, None)
    assert (second.jwt, second.claims) == (None, ["credit_score"])
    assert second.endpoint == "https://creditagency.example.com/claims"
    assert second.access_token == "ksj3n283dke"
    assert (third.claims, third.access_token) == ([], None)
    assert repr(second) == "<oauth_core.ClaimsSource distributed: credit_score>"
    assert "jwt_part2" not in repr(first)
    assert oauth_core.claims_sources({"sub": "jane"}) == []


@pytest.mark.parametrize(
    "claims",
    [
        {"_claim_names": {"address": "src1"}},
        {"_claim_names": {"address": "src9"}, "_claim_sources": {"src1": {"JWT": "a.b.c"}}},
        {"_claim_names": {}, "_claim_sources": {"src1": {"JWT": "a.b.c", "endpoint": "https://x"}}},
        {"_claim_names": "address", "_claim_sources": {}},
    ],
)
def test_inconsistent_claim_names_and_sources_are_rejected(claims: dict[str, Any]) -> None:
    with pytest.raises(oauth_core.OAuthError) as raised:
        oauth_core.claims_sources(claims)
    assert raised.value.code == "jwt.malformed_claim"


@pytest.mark.parametrize("claims", [None, 7, "_claim_names"])
def test_a_value_that_is_not_a_mapping_is_rejected(claims: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        oauth_core.claims_sources(claims)
