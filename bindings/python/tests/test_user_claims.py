"""The standard claims about a user, each with its type."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any

import pytest

import oauth_core
from test_registration import fetch_userinfo

# The examples of OpenID Connect Core sections 5.1.1 and 5.3.2.
CLAIMS = {
    "sub": "ann",
    "name": "Jane Doe",
    "birthdate": "0000-10-31",
    "email_verified": True,
    "phone_number_verified": False,
    "updated_at": 1311280970,
    "address": {
        "street_address": "1234 Hollywood Blvd.",
        "locality": "Los Angeles",
        "region": "CA",
        "postal_code": "90210",
        "country": "US",
        "planet": "Earth",
    },
    "name#ja": "太郎",
}
ADDRESS = oauth_core.Address(
    street_address="1234 Hollywood Blvd.", locality="Los Angeles", region="CA", postal_code="90210", country="US"
)


def of_userinfo(claims: dict[str, Any]) -> oauth_core.UserClaims:
    import json

    return fetch_userinfo(("application/json", json.dumps(claims)))


@pytest.mark.parametrize("read", [of_userinfo, oauth_core.user_claims])
def test_standard_claims_have_their_types(read: Any) -> None:
    user = read(CLAIMS)
    assert (user.subject, user.name, user.birthdate, user.nickname) == ("ann", "Jane Doe", "0000-10-31", None)
    assert (user.email_verified, user.phone_number_verified) == (True, False)
    assert user.updated_at == datetime.fromtimestamp(1311280970, timezone.utc)
    assert user.address == ADDRESS and user.address is user.address
    assert (user.address.postal_code, user.address.formatted) == ("90210", None)
    assert user.claims == CLAIMS
    with pytest.raises(AttributeError):
        user.address.country = "DE"
    assert pickle.loads(pickle.dumps(user)) == user
    assert "Address(" in repr(user) and "90210" not in repr(user) and "90210" not in repr(user.address)


@pytest.mark.parametrize("read", [of_userinfo, oauth_core.user_claims])
@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("email_verified", "false"),
        ("phone_number_verified", 1),
        ("updated_at", "yesterday"),
        ("birthdate", 19700101),
        ("address", "Berlin"),
        ("address", ["Berlin"]),
    ],
)
def test_a_claim_of_another_type_is_none(read: Any, claim: str, value: object) -> None:
    user = read({"sub": "ann", claim: value})
    assert getattr(user, claim) is None
    assert user.claims[claim] == value


def test_an_address_member_of_another_type_is_none() -> None:
    user = oauth_core.user_claims(MappingProxyType({"sub": "ann", "address": {"postal_code": 90210, "region": "CA"}}))
    assert user.address == oauth_core.Address(region="CA")


@pytest.mark.parametrize(
    ("claims", "code"),
    [({}, "jwt.missing_claim"), ({"sub": 7}, "jwt.malformed_claim"), ({"sub": None}, "jwt.malformed_claim")],
)
def test_claims_without_a_subject_are_rejected(claims: dict[str, Any], code: str) -> None:
    with pytest.raises(oauth_core.OAuthError) as caught:
        oauth_core.user_claims(claims)
    assert caught.value.code == code


@pytest.mark.parametrize("claims", [None, 7, "sub"])
def test_invalid_claims_are_rejected(claims: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        oauth_core.user_claims(claims)
