"""Extension grants, requested by their URI or by the name that a preset gives them; and the SAML bearer grant."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Twin

import oauth_core

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def test_an_unknown_extension_grant_is_sent_and_a_standard_grant_is_not(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    more = {"tag": "x y"}
    with pytest.raises(oauth_core.DeniedError) as error:
        call(client, "extension_grant", grant_type="urn:example:own", parameters=more)
    assert error.value.code == "denied.unsupported_grant_type"
    assert fast_polling.entry("/token")["form"] == {"grant_type": "urn:example:own", **more}
    with pytest.raises(oauth_core.MisuseError) as misuse:
        call(client, "extension_grant", grant_type="password")
    assert misuse.value.code == "grant.not_an_extension"


def test_a_grant_that_the_server_supports_can_be_requested_by_its_uri(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    """Requested by the URI of a grant that the server supports."""
    parameters = {
        "subject_token": client.client_credentials().token().access_token,
        "subject_token_type": ACCESS_TOKEN,
    }
    grant = "urn:ietf:params:oauth:grant-type:token-exchange"
    tokens = call(client, "extension_grant", grant_type=grant, parameters=parameters)
    assert tokens.extra["issued_token_type"] == ACCESS_TOKEN


OWN_GRANT = """
name = "acme"
title = "Acme"
issuer = "https://login.acme.example"
client_auth = "basic"
grants = ["client_credentials"]

[endpoints]
token_endpoint = "{issuer}/token"

[extension_grants.for_another]
grant_type = "urn:ietf:params:oauth:grant-type:token-exchange"
client_auth = "required"
fixed = { subject_token_type = "urn:ietf:params:oauth:token-type:access_token" }

[extension_grants.for_another.parameters]
subject_token = { description = "the token of the caller", secret = true }
tag = { required = false, repeated = true }
"""


def test_an_extension_grant_of_a_preset_is_selected_by_its_name(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    server = oauth_core.provider_file(OWN_GRANT, loopback=fast_polling.base)
    data = fast_polling.data
    auth = oauth_core.ClientSecretBasic(data["client_secret"])
    own_client = oauth_core.Client(server, client_id=data["client_id"], client_auth=auth)
    token = client.client_credentials().token().access_token
    arguments = {"subject_token": token, "tag": "a"}
    tokens = call(own_client, "extension_grant", grant_type="for_another", parameters=arguments)
    assert tokens.extra["issued_token_type"] == ACCESS_TOKEN
    form = fast_polling.entry("/token")["form"]
    assert form["grant_type"].endswith(":token-exchange")
    assert form["subject_token_type"] == ACCESS_TOKEN
    before = fast_polling.counters["token_requests"]
    for parameters, code in [
        ({}, "form.malformed_parameter"),
        ({"subject_token": token, "other": "x"}, "form.unlisted_parameter"),
        ({"subject_token": [token, token]}, "form.duplicate_parameter"),
        ({"subject_token": token, "subject_token_type": "x"}, "form.unlisted_parameter"),
    ]:
        with pytest.raises(oauth_core.MisuseError) as misuse:
            call(own_client, "extension_grant", grant_type="for_another", parameters=parameters)
        assert misuse.value.code == code
    with pytest.raises(oauth_core.MisuseError) as unknown:
        call(own_client, "extension_grant", grant_type="another", parameters={})
    assert unknown.value.code == "grant.not_an_extension"
    assert fast_polling.counters["token_requests"] == before, "none of these requests was sent"


def test_a_saml_assertion_is_redeemed_only_once(
    fast_polling: Twin, client: oauth_core.Client, call: Callable[..., Any]
) -> None:
    endpoint = f"{fast_polling.base}/token"
    saml = f"""<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1">
<saml:Subject><saml:NameID>brian@example.com</saml:NameID><saml:SubjectConfirmation>
<saml:SubjectConfirmationData NotOnOrAfter="2100-01-01T00:00:00Z" Recipient="{endpoint}"/></saml:SubjectConfirmation></saml:Subject>
<saml:Conditions><saml:AudienceRestriction><saml:Audience>{endpoint}</saml:Audience></saml:AudienceRestriction></saml:Conditions>
</saml:Assertion>"""
    fast_polling.announce_saml_assertion(saml)
    tokens = call(client, "saml_bearer", assertion=saml, scope="read")
    assert call(client, "introspect", token=tokens.access_token).subject == "brian@example.com"
    with pytest.raises(oauth_core.DeniedError) as error:
        call(client, "saml_bearer", assertion=saml)
    assert error.value.code == "denied.invalid_grant"
    # One that is encoded already is not encoded again.
    other = saml.replace('ID="_1"', 'ID="_2"')
    fast_polling.announce_saml_assertion(other)
    encoded = base64.urlsafe_b64encode(other.encode()).decode()
    assert call(client, "saml_bearer", assertion=encoded, scope="read").access_token
