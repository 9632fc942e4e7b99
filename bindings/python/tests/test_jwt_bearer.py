"""JWT bearer grants (RFC 7523 section 2.1) as each provider's documentation requires them."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import oauth_core

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
HASHES = {"RS256": hashes.SHA256(), "RS512": hashes.SHA512()}


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(serialization.Encoding.PEM, *form).decode()


class Sent(NamedTuple):
    header: dict[str, Any]
    claims: dict[str, Any]
    lifetime: int
    form: dict[str, str]


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def sent(preset: str, *, variables: dict[str, str] | None = None, **grant_options: Any) -> Sent:
    """What is sent for a JWT: its header, its claims, and the rest of the form."""
    server = oauth_core.provider(preset, **(variables or {}))
    client = oauth_core.Client(server, client_id="id", client_secret="secret")
    grant_options = {"key": pem(KEY), "issuer": "id", "subject": "somebody", **grant_options}
    step = next(client.exchange.jwt_bearer_with_key(**grant_options))
    assert isinstance(step, oauth_core.Send)
    form = dict(urllib.parse.parse_qsl(bytes(step.body).decode()))
    signed, _, signature = form.pop("assertion").rpartition(".")
    header, claims = (json.loads(decoded(part)) for part in signed.split("."))
    KEY.public_key().verify(decoded(signature), signed.encode(), padding.PKCS1v15(), HASHES[header["alg"]])
    issued, expires = claims.pop("iat"), claims.pop("exp")
    assert abs(issued - time.time()) < 5
    # Box wants 16 to 128 characters.
    assert 16 <= len(claims.pop("jti")) <= 128
    return Sent(header, claims, expires - issued, form)


def test_a_jwt_for_salesforce_has_the_login_host_as_audience_and_lasts_three_minutes() -> None:
    header, claims, lifetime, form = sent("salesforce", scope="api")
    assert header == {"alg": "RS256", "typ": "JWT"}
    assert claims == {"iss": "id", "sub": "somebody", "aud": "https://login.salesforce.com"}
    assert (lifetime, form["scope"]) == (180, "api")
    sandbox = sent("salesforce", variables={"host": "test.salesforce.com"})
    assert sandbox.claims["aud"] == "https://test.salesforce.com"


@pytest.mark.parametrize(("kind", "alg"), [("enterprise", "RS256"), ("user", "RS512")])
def test_a_jwt_for_box_names_its_key_and_subject_type_and_lasts_45_seconds(kind: str, alg: str) -> None:
    header, claims, lifetime, form = sent("box", alg=alg, kid="k1", claims={"box_sub_type": kind})
    assert header == {"alg": alg, "kid": "k1", "typ": "JWT"}
    aud = "https://api.box.com/oauth2/token"
    assert claims == {"iss": "id", "sub": "somebody", "box_sub_type": kind, "aud": aud}
    assert lifetime == 45
    assert list(form) == ["grant_type", "client_id", "client_secret"]


@pytest.mark.parametrize("scope", [None, "impersonation"])
@pytest.mark.parametrize(
    ("preset", "host"), [("docusign", "account.docusign.com"), ("docusign-demo", "account-d.docusign.com")]
)
def test_a_jwt_for_docusign_has_the_bare_host_as_audience_and_contains_the_scope(
    preset: str, host: str, scope: str | None
) -> None:
    scope_option: dict[str, Any] = {} if scope is None else {"scope": scope}
    header, claims, lifetime, form = sent(preset, **scope_option)
    assert header == {"alg": "RS256", "typ": "JWT"}
    named = scope or "signature impersonation"
    assert claims == {"iss": "id", "sub": "somebody", "aud": host, "scope": named}
    assert lifetime == 300
    assert "scope" not in form


@pytest.mark.parametrize(
    ("preset", "grant_options", "code", "about"),
    [
        ("box", {"claims": {"box_sub_type": "user"}}, "assertion.claim", "kid"),
        ("box", {"kid": "k1"}, "assertion.claim", "box_sub_type"),
        ("box", {"kid": "k1", "claims": {"box_sub_type": "app"}}, "assertion.claim", "enterprise, user"),
        ("docusign", {"key": pem(ec.generate_private_key(ec.SECP256R1()))}, "key.algorithm", "ES256"),
    ],
)
def test_a_request_that_the_provider_would_refuse_is_not_sent(preset: str, grant_options: dict[str, Any], code: str, about: str) -> None:
    with pytest.raises(oauth_core.MisuseError, match=about) as refused:
        sent(preset, **grant_options)
    assert refused.value.code == code


def test_explicit_arguments_override_the_values_of_the_preset() -> None:
    custom_claims: dict[str, Any] = {"lifetime": 3600, "audience_claim": "account-s.docusign.com", "claims": {"scope": "spring_read"}}
    _, claims, lifetime, _ = sent("docusign", **custom_claims)
    assert (claims["aud"], claims["scope"], lifetime) == ("account-s.docusign.com", "spring_read", 3600)
