"""Permissions in detail (RFC 9396) and the resources that tokens are for (RFC 8707), against npm's oidc-provider."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, process
from test_fapi import make_client, offline
from test_identity import CALLBACK, Browser
from test_store import MemoryStore

import oauth_core

ONE, OTHER = "https://one.example/", "https://other.example/"


class Payment(oauth_core.AuthorizationDetail, total=False):
    amount: str
    id: str


PAYMENT: Payment = {"type": "payment", "actions": ["initiate"], "amount": "12.50"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    with process(["node", "fapi.mjs"], ROOT / "tests/interop/oidc-provider") as server_info:
        yield server_info


def test_authorization_details_are_requested_and_the_granted_ones_returned(provider: Any) -> None:
    client = make_client(provider, "security", dpop_key=oauth_core.DpopKey.generate())
    flow = client.begin_authorization(
        redirect_uri=CALLBACK, scope="openid", resource=[ONE], authorization_details=[PAYMENT], push="always"
    )
    tokens = client.redeem(flow, Browser().open(flow.url))
    # The server adds a member to the requested details.
    assert tokens.authorization_details == [{**PAYMENT, "id": "p-4711"}]
    assert tokens.warnings == ()
    assert tokens.missing_authorization_details([PAYMENT]) == []
    more = {"type": "payment", "actions": ["initiate", "cancel"]}
    assert tokens.missing_authorization_details([PAYMENT, more]) == [more]
    again = oauth_core.Tokens.deserialize(tokens.serialize())
    assert again.authorization_details == tokens.authorization_details
    for wrong in ([{"actions": ["read"]}], {"type": "payment"}, [{"type": "payment", "actions": "read"}]):
        with pytest.raises(oauth_core.MisuseError) as error:
            tokens.missing_authorization_details(wrong)  # type: ignore[arg-type]
        assert error.value.code == "authorization_details.malformed"
    with pytest.raises(oauth_core.MisuseError) as error:
        offline().authorize(redirect_uri=CALLBACK, authorization_details=[{"actions": ["read"]}])
    assert error.value.code == "authorization_details.malformed"


def redeem_with_details(granted: object) -> oauth_core.Tokens:
    """The tokens of a login that requested a payment, from a server that grants these details."""
    client = offline()
    flow = client.authorize(redirect_uri=CALLBACK, authorization_details=[PAYMENT])
    exchange = client.exchange.redeem(flow, f"{CALLBACK}?code=c&state={flow.state}")
    next(exchange)
    body = {"access_token": "a", "token_type": "Bearer", "expires_in": 600}
    if granted is not None:
        body["authorization_details"] = granted
    with pytest.raises(StopIteration) as done:
        exchange.send((200, [("content-type", "application/json")], json.dumps(body).encode()))
    tokens: oauth_core.Tokens = done.value.value
    return tokens


def test_permissions_that_were_not_granted_are_reported() -> None:
    for granted, missing in (
        (None, True),
        ([], True),
        ([{"type": "account", "actions": ["initiate"]}], True),
        ([{"type": "payment", "actions": ["read"]}], True),
        ([{"type": "payment", "actions": ["read", "initiate"], "amount": "1.00"}], False),
    ):
        tokens = redeem_with_details(granted)
        assert tokens.authorization_details == granted
        assert tokens.warnings == (("authorization_details_missing",) if missing else ())
        assert tokens.missing_authorization_details([PAYMENT]) == ([PAYMENT] if missing else [])
    with pytest.raises(oauth_core.MalformedError) as error:
        redeem_with_details([{"actions": ["initiate"]}])
    assert error.value.code == "token_response.malformed"
    assert oauth_core.Tokens.bearer("a").authorization_details is None


def audience(client: oauth_core.Client, tokens: oauth_core.Tokens) -> list[str]:
    introspection = client.introspect(token=tokens.access_token)
    assert introspection.active
    return list(introspection.audience)


def test_a_refresh_may_narrow_the_resources_but_not_exceed_them(provider: Any) -> None:
    client = make_client(provider, "security", dpop_key=oauth_core.DpopKey.generate())
    flow = client.begin_authorization(
        redirect_uri=CALLBACK, scope="openid read", resource=[ONE, OTHER], push="always"
    )
    tokens = client.redeem(flow, Browser().open(flow.url), resource=[ONE])
    assert audience(client, tokens) == [ONE]
    renewed = client.refresh(tokens=tokens, resource=[OTHER])
    assert audience(client, renewed) == [OTHER]
    third = ["https://third.example/"]
    with pytest.raises(oauth_core.MisuseError) as unsent:
        client.refresh(tokens=renewed, resource=third)
    assert unsent.value.code == "resource.exceeds_grant"
    # A record of an earlier version lacks the granted details, so the server is asked.
    record = json.loads(renewed.serialize())
    assert record.pop("resources") == [ONE, OTHER]
    with pytest.raises(oauth_core.DeniedError) as error:
        client.refresh(tokens=oauth_core.Tokens.deserialize(json.dumps(record)), resource=third)
    assert error.value.code == "denied.invalid_target"


def test_client_credentials_tokens_are_issued_for_the_requested_resource(provider: Any) -> None:
    client = make_client(provider, "security", dpop_key=oauth_core.DpopKey.generate())
    assert audience(client, client.client_credentials(scope="read", resource=[ONE]).token()) == [ONE]
    source = client.client_credentials(scope="read", resource=[OTHER])
    assert audience(client, asyncio.run(source.atoken())) == [OTHER]


MORE: Payment = {"type": "payment", "actions": ["initiate", "cancel"]}


def requested_details(exchange: Any) -> str:
    """The permissions in the body of a token request, as they are sent."""
    sent: bytes = next(exchange).body
    (details,) = urllib.parse.parse_qs(sent.decode())["authorization_details"]
    return details


def refreshable() -> oauth_core.Tokens:
    stored = {**json.loads(redeem_with_details(None).serialize()), "refresh_token": "rt-1", "refresh_scope": ""}
    return oauth_core.Tokens.deserialize(json.dumps(stored))


def test_authorization_details_are_sent_in_every_token_request() -> None:
    client = offline(client_secret="s")
    arguments: dict[str, Any] = {"authorization_details": [PAYMENT]}
    for exchange in (
        client.exchange.client_credentials(**arguments),
        client.exchange.refresh(tokens=refreshable(), **arguments),
        client.exchange.token_exchange(subject_token="a", subject_token_type="access_token", **arguments),
        client.exchange.jwt_bearer(assertion="a.b.c", **arguments),
        client.exchange.saml_bearer(assertion="<a/>", **arguments),
        client.exchange.extension_grant(grant_type="urn:example:g", parameters={}, **arguments),
        client.exchange.password(username="ann", password="p", **arguments),
    ):
        assert json.loads(requested_details(exchange)) == [PAYMENT]
    mistakes: tuple[Any, ...] = ([{"actions": ["read"]}], PAYMENT, "payment")
    for wrong in mistakes:
        with pytest.raises(oauth_core.MisuseError) as error:
            client.exchange.client_credentials(authorization_details=wrong)
        assert error.value.code == "authorization_details.malformed", wrong
    # The library cannot know which of the two the caller wants to send.
    with pytest.raises(oauth_core.MisuseError) as error:
        client.exchange.client_credentials(**arguments, extra={"authorization_details": json.dumps([MORE])})
    assert error.value.code == "form.reserved_parameter"


def test_authorization_details_are_part_of_the_key_of_a_grant() -> None:
    client = offline(client_secret="s")

    def key(details: Any, subject: str | None = None) -> str:
        arguments: dict[str, Any] = {"subject": subject, "authorization_details": details}
        if subject is None:
            arguments["grant_type"] = "client_credentials"
        return client.keeper(**arguments).key

    # A grant is found again however its permissions were written, and other permissions are another grant.
    keys = [key(details) for details in ([PAYMENT], [dict(PAYMENT)], [MORE], None)]
    assert keys[0] == keys[1] and len(set(keys)) == 3
    store = MemoryStore()
    client_tokens = client.client_credentials(store=store, authorization_details=[PAYMENT])
    assert client_tokens.key == keys[0]
    with_payment = client.source(store=store, subject="ann", authorization_details=[PAYMENT])
    assert with_payment.key == key([PAYMENT], "ann") != key([MORE], "ann")
    with oauth_core.Grants(client, store) as grants:
        grants.log_in("ann", refreshable(), authorization_details=[PAYMENT])
        assert list(store.records) == [with_payment.key]
        assert grants.get("ann", authorization_details=[PAYMENT]).token().access_token == "a"
        with pytest.raises(oauth_core.OAuthError) as error:
            grants.get("ann", authorization_details=[MORE]).token()
        assert error.value.code == "grant.no_refresh_token"
        with contextlib.suppress(oauth_core.LostError):
            grants.log_out("ann", authorization_details=[PAYMENT])
        assert store.records[with_payment.key][1] == ""
