"""Arguments and results of operations."""

from __future__ import annotations

import asyncio
import copy
import datetime
import importlib
import pickle
from typing import Any

import pytest
from conftest import Answer, StubServer, Twin, generic_client, reply, server_at

import oauth_core
from oauth_core import _client, _ops, _record, _records


class Device(_record.Record):
    """As the generator writes one that holds a secret."""

    __slots__ = ("device_code", "interval")
    _absent = {"interval": 5}
    _secrets = frozenset(("device_code",))


def test_an_introspection_response_exposes_its_members(generic: Twin) -> None:
    client = generic_client(generic)
    token = client.client_credentials(scope="read").token().access_token
    state = client.introspect(token=token)
    assert isinstance(state, oauth_core.IntrospectionResponse)
    assert state.active and state.scope == frozenset(["read"]) and state.client_id == generic.data["client_id"]
    assert state.expires_at and state.expires_at.utcoffset() == datetime.timedelta(0)
    assert asyncio.run(client.aintrospect(token=token, token_type_hint="access_token")) == state
    client.revoke(token=token)
    dead = client.introspect(token=token)
    assert dead == oauth_core.IntrospectionResponse(active=False)
    assert (dead.scope, dead.audience, dead.extra) == (None, (), {})


def test_a_device_authorization_has_typed_members_and_hides_its_device_code(generic: Twin) -> None:
    client = generic_client(generic)
    device = client.device_authorization(scope="read")
    assert isinstance(device, oauth_core.DeviceAuthorizationResponse)
    assert device.user_code and device.verification_uri.startswith("http") and device.expires_in > 0 and device.interval >= 1
    assert device.device_code not in repr(device) and device.user_code in repr(device)
    other = asyncio.run(client.adevice_authorization(scope=["read"]))
    assert other.device_code != device.device_code
    step = next(client.exchange.device_authorization(scope="read"))
    assert isinstance(step, oauth_core.Send) and step.url == f"{generic.base}/device_authorization"


def test_the_members_of_an_introspection_response_have_python_types(plain: Any) -> None:
    body = (
        b'{"active":true,"scope":"b a","exp":1750000060,"iat":1750000000,"nbf":1750000000,"sub":"u","aud":["x"],'
        b'"iss":"https://as.example","username":"jo","token_type":"Bearer","client_id":"c","more":[1,{"a":2.5}]}'
    )
    response: Answer = reply(200, body, content_type="application/json")
    server: StubServer = plain(response)
    client = oauth_core.Client(server_at(server.base), client_id="id", client_secret="s")
    state = client.introspect(token="t")
    utc = datetime.timezone.utc
    issued = datetime.datetime.fromtimestamp(1750000000, utc)
    assert state == oauth_core.IntrospectionResponse(
        active=True,
        scope=frozenset(["a", "b"]),
        client_id="c",
        username="jo",
        token_type="Bearer",
        expires_at=issued + datetime.timedelta(minutes=1),
        issued_at=issued,
        not_before=issued,
        subject="u",
        audience=("x",),
        issuer="https://as.example",
        extra={"more": [1, {"a": 2.5}]},
    )


def test_records_are_immutable() -> None:
    state: Any = oauth_core.IntrospectionResponse(active=True)
    for name in ("active", "another"):
        with pytest.raises(AttributeError):
            setattr(state, name, False)
    with pytest.raises(AttributeError):
        del state.active
    assert pickle.loads(pickle.dumps(state)) == state == copy.deepcopy(state) == copy.copy(state)
    assert state != oauth_core.IntrospectionResponse(active=False) and state != {"active": True}
    assert repr(state).startswith("IntrospectionResponse(active=True, scope=None, ")


def test_a_record_without_active_or_with_unknown_members_is_refused() -> None:
    kind: Any = oauth_core.IntrospectionResponse
    with pytest.raises(TypeError, match="needs active"):
        kind()
    with pytest.raises(TypeError, match="has no actve"):
        kind(active=True, actve=True)


def test_a_record_with_a_secret_hides_it_and_cannot_be_pickled() -> None:
    record: Any = Device
    device = record(device_code="S3CR3T")
    assert (device.device_code, device.interval) == ("S3CR3T", 5)
    assert repr(device) == str(device) == "Device(device_code=[redacted], interval=5)"
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(device)


def test_extension_and_package_of_different_releases_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ops, "FINGERPRINT", "0")
    with pytest.raises(ImportError, match="another release"):
        importlib.reload(_client)


def test_every_record_is_exported() -> None:
    assert set(_records.__all__) <= set(oauth_core.__all__)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("introspect", {"token": 7}, "argument 'token': expected a string, not a number"),
        ("introspect", {"token": b"S3CR3T"}, "argument 'token': expected a string, not something else"),
        ("revoke", {"token": "t", "token_type_hint": "S3CR3T"}, "argument 'token_type_hint': expected one of \"access_token\" \"refresh_token\""),
        ("refresh", {"tokens": "S3CR3T"}, "argument 'tokens': expected Tokens, not a string"),
        ("password", {"username": "u", "password": None}, "'password': expected a string, not nothing"),
        ("revoke", {}, "missing 1 required keyword-only argument: 'token'"),
        ("revoke", {"tokn": "t"}, "unexpected keyword argument 'tokn'"),
    ],
)
def test_an_argument_error_contains_the_name_of_the_argument(client: Any, name: str, value: Any, text: str) -> None:
    for holder, method in ((client, name), (client, f"a{name}"), (client.exchange, name)):
        with pytest.raises(TypeError) as caught:
            getattr(holder, method)(**value)
        assert text in str(caught.value) and "S3CR3T" not in str(caught.value)
