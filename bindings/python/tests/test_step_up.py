"""Step-up (RFC 9470), from the 401 of an API over another login to its 200, at the twins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Twin, approve, generic_client
from test_identity import CALLBACK

import oauth_core
from oauth_core import stores


def bank_client(twin: Twin) -> oauth_core.Client:
    server = oauth_core.discover(twin.base, transport="loopback_http")
    return oauth_core.Client(
        server,
        client_id=twin.data["client_id"],
        client_auth=oauth_core.PrivateKeyJwt(twin.data["client_key"]),
        dpop_key=oauth_core.DpopKey.generate(),
        profile="fapi2_security",
    )


SYSTEMS: dict[str, Callable[[Twin], oauth_core.Client]] = {
    "generic": generic_client,
    "fapi": bank_client,
}


def call_api(twin: Twin, client: oauth_core.Client, tokens: oauth_core.Tokens) -> oauth_core.Response:
    return client.source(tokens).get(f"{twin.base}/api/echo", origins=[twin.base])


def required_step_up(reply: oauth_core.Response) -> dict[str, Any]:
    required = oauth_core.step_up(reply.status, reply.headers["www-authenticate"])
    assert reply.status == 401 and required is not None
    return required


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_step_up_required_by_an_api_is_satisfied_by_another_login(
    twins: dict[str, Twin], name: str
) -> None:
    twin = twins[name]
    client = SYSTEMS[name](twin)

    def login(**more: Any) -> oauth_core.Tokens:
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid read", **more)
        return client.redeem(flow, approve(flow.url))

    twin.step_up(acr_values=["phr", "mfa"], max_age=60)
    first = login()
    required = required_step_up(call_api(twin, client, first))
    assert required == {"acr_values": ["phr", "mfa"], "max_age": 60}
    second = login(step_up=required, tokens=first)
    assert call_api(twin, client, second).status == 200
    assert second.warnings == ()

    # An authentication context that the user cannot provide.
    twin.step_up(acr_values=["hardware"])
    twin.claim("acr", "pwd")
    required = required_step_up(call_api(twin, client, second))
    third = login(step_up=required, tokens=second)
    assert third.warnings == ("acr_not_met",)
    required = required_step_up(call_api(twin, client, third))
    with pytest.raises(oauth_core.MisuseError) as raised:
        login(step_up=required, tokens=third)
    assert raised.value.code == "step_up.repeated"


def test_step_ups_of_an_api_with_alternating_requirements_are_limited(generic: Twin) -> None:
    client = generic_client(generic)
    tokens = generic.signed_in(client)
    for acr in ("phr", "mfa", "phr", "mfa", "phr"):
        required = {"acr_values": [acr]}
        flow = client.authorize(redirect_uri=CALLBACK, step_up=required, tokens=tokens)
        tokens = client.redeem(flow, approve(flow.url))
    with pytest.raises(oauth_core.MisuseError) as raised:
        client.authorize(redirect_uri=CALLBACK, step_up={"acr_values": ["mfa"]}, tokens=tokens)
    assert raised.value.code == "step_up.limit"


def test_a_claims_challenge_of_an_api_is_satisfied_by_another_login(generic: Twin) -> None:
    """Microsoft Entra's claims challenge."""
    client = generic_client(generic)
    generic.step_up(claims={"access_token": {"acrs": {"essential": True, "value": "c1"}}})
    first = generic.signed_in(client)
    required = required_step_up(call_api(generic, client, first))
    flow = client.authorize(redirect_uri=CALLBACK, step_up=required, tokens=first)
    second = client.redeem(flow, approve(flow.url))
    assert call_api(generic, client, second).status == 200


def test_step_up_tokens_are_stored_separately_from_ordinary_ones(generic: Twin, tmp_path: Path) -> None:
    client = generic_client(generic)
    first = generic.signed_in(client)
    generic.step_up(acr_values=["phr"])
    required = required_step_up(call_api(generic, client, first))
    flow = client.authorize(redirect_uri=CALLBACK, scope="openid read", step_up=required, tokens=first)
    second = client.redeem(flow, approve(flow.url))

    def call(source: oauth_core.GrantSource) -> oauth_core.Response:
        return source.get(f"{generic.base}/api/echo", origins=[generic.base])

    with oauth_core.Grants(client, stores.FileStore(tmp_path / "grants")) as grants:
        grants.log_in("ann", first)
        grants.log_in("ann", second)
        stepped_up = grants.get("ann", step_up=required)
        # Requests that need the step-up use its tokens, even after renewals, without user interaction.
        assert call(stepped_up).status == 200
        assert stepped_up.renew(second).access_token != second.access_token
        assert call(grants.get("ann", step_up=required)).status == 200
        # The ordinary tokens are still there, and still too little.
        assert grants.get("ann").token().access_token == first.access_token
        assert required_step_up(call(grants.get("ann"))) == required
        # Requests without a requirement accept them.
        generic.step_up()
        assert call(grants.get("ann")).status == 200
        listed, _, _ = grants.list()
        found = [grant["step_up"] for grant in listed]
        assert None in found and {"acr_values": ["phr"]} in found and len(found) == 2
        # Another requirement has no tokens yet; the end of the ordinary grant is that of all.
        with pytest.raises(oauth_core.OAuthError) as nobody:
            grants.get("ann", step_up={"acr_values": ["mfa"]}).token()
        assert nobody.value.advice == "reauthorize"
        grants.log_out("ann")
        assert grants.list()[0] == []
        with pytest.raises(oauth_core.MisuseError) as unknown:
            grants.get("ann", step_up={"acr_values": 7})
        assert unknown.value.code == "argument.invalid"
