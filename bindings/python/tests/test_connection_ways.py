"""Ways of a connection without a browser: a code on another device, an identity provider, a client of its own."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from typing import Any

import pytest
from conftest import Twin, browse, generic_client

import oauth_core
import oauth_core.stores


def nobody(url: str) -> None:
    raise AssertionError(f"nobody is to be sent to {url}")


def connection(twin: Twin, **options: Any) -> oauth_core.ResourceConnection:
    options = {"open": nobody, "timeout": 30.0, "transport": "loopback_http", **options}
    return oauth_core.ResourceConnection(f"{twin.base}/api/echo", **options)


def make_connection(twin: Twin, **options: Any) -> oauth_core.ResourceConnection:
    """As the client that the twin knows from the start."""
    connection_options = {name: twin.data[name] for name in ("client_id", "client_secret")}
    return connection(twin, issuer=twin.base, **connection_options, **options)


class Person:
    """A user who enters the code on another device immediately."""

    def __init__(self) -> None:
        self.codes: list[oauth_core.DeviceAuthorizationResponse] = []

    def __call__(self, code: oauth_core.DeviceAuthorizationResponse) -> None:
        self.codes.append(code)
        page = code.verification_uri_complete
        threading.Thread(target=lambda: urllib.request.urlopen(str(page)).close()).start()


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_a_connection_logs_in_with_a_code_entered_on_another_device(generic: Twin, way: str) -> None:
    generic.polling_interval(1)
    person = Person()
    api = connection(generic, client_name="Notes", device=True, show=person)
    tokens = api.token() if way == "blocking" else asyncio.run(api.atoken())
    assert "read" in tokens.scope
    [code] = person.codes
    assert f"let Notes use {api.url}" in code.prompt
    # Its tokens are renewed as any others.
    generic.expire()
    assert api.get(api.url).status == 200
    assert len(person.codes) == 1


def test_an_exception_of_the_code_callback_is_raised(generic: Twin) -> None:
    def broken(code: oauth_core.DeviceAuthorizationResponse) -> None:
        raise LookupError("no screen")

    api = connection(generic, client_name="Notes", device=True, show=broken)
    with pytest.raises(LookupError, match="no screen"):
        api.token()


def test_a_server_without_a_token_endpoint_is_refused_before_registration_and_login(generic: Twin) -> None:
    generic.fault("without_member", member="token_endpoint")
    with pytest.raises(oauth_core.OAuthError) as refused:
        connection(generic, client_name="Notes").token()
    assert refused.value.code == "endpoint.missing"
    assert "/register" not in [entry["path"] for entry in generic.log]


class SignIn:
    """A custom source, for a sign-in at the identity provider."""

    def __init__(self, tokens: oauth_core.Tokens) -> None:
        self.tokens = tokens
        self.request_count = 0

    def token(self) -> oauth_core.Tokens:
        self.request_count += 1
        return self.tokens

    def renew(self, tokens: oauth_core.Tokens) -> oauth_core.Tokens:
        raise AssertionError("the ID token is good")

    def invalidate(self, tokens: oauth_core.Tokens) -> None:
        raise AssertionError("nothing is wrong with it")


def trusting(twins: dict[str, Twin]) -> tuple[Twin, Twin]:
    idp, served = twins["identity-provider"], twins["generic"]
    idp.vouch_to(served.base, served.data["client_id"])
    served.trust_identity_provider(idp.base)
    return idp, served


@pytest.mark.parametrize("kept", ["by us", "elsewhere"])
def test_a_connection_uses_an_identity_assertion_of_an_identity_provider(twins: dict[str, Twin], kept: str) -> None:
    idp, served = trusting(twins)
    client = generic_client(idp)
    login = idp.signed_in(client)
    sign_in = client.source(login) if kept == "by us" else SignIn(login)
    api = make_connection(served, identity_provider=client, sign_in=sign_in)
    assert api.get(api.url).raise_for_status().json()["scope"] == "read write"
    # Each token needs a new assertion, and no user interaction.
    served.expire()
    before = served.counters["token_requests"]
    assert asyncio.run(api.aget(api.url)).status == 200
    assert served.counters["token_requests"] == before + 1


def test_without_an_id_token_there_is_no_identity_assertion(twins: dict[str, Twin]) -> None:
    idp, served = trusting(twins)
    client = generic_client(idp)
    nameless = client.client_credentials(scope="read")
    api = make_connection(served, identity_provider=client, sign_in=nameless)
    with pytest.raises(oauth_core.OAuthError) as missing:
        api.token()
    assert missing.value.code == "identity_assertion.no_id_token"

    def gone() -> oauth_core.Tokens:
        raise ConnectionAbortedError("the directory is down")

    broken = SignIn(idp.signed_in(client))
    broken.token = gone  # type: ignore[method-assign]
    with pytest.raises(ConnectionAbortedError, match="directory"):
        make_connection(served, identity_provider=client, sign_in=broken).token()
    with pytest.raises(TypeError, match="must be given together"):
        make_connection(served, identity_provider=client)


def test_a_connection_uses_client_credentials(generic: Twin) -> None:
    api = make_connection(generic, grant_type="client_credentials")
    assert api.get(api.url).status == 200
    generic.expire()
    assert api.get(api.url).status == 200


def test_a_connection_rejects_a_key_with_a_custom_audience_used_at_another_server(
    generic: Twin, twins: dict[str, Twin]
) -> None:
    """A server could have an assertion made out to another (RFC 10070)."""
    issuer = "https://other.example"
    key = oauth_core.PrivateKeyJwt(twins["fapi"].data["client_key"], audience=f"{issuer}/token")
    server = oauth_core.Server.from_metadata(issuer, {"issuer": issuer})
    assert oauth_core.Client(server, client_id="me", client_auth=key)
    api = connection(
        generic,
        issuer=generic.base,
        client_id=generic.data["client_id"],
        client_auth=key,
        grant_type="client_credentials",
    )
    with pytest.raises(oauth_core.MisuseError) as caught:
        api.token()
    assert caught.value.code == "key.used_at_two_servers"


@pytest.mark.parametrize("bound", [True, False])
def test_a_connection_registers_for_certificate_bound_tokens_if_configured(
    generic: Twin, bound: bool
) -> None:
    """RFC 8705 section 3.4."""
    store = oauth_core.stores.MemoryStore()
    api = connection(
        generic,
        open=browse,
        client_name="Notes",
        store=store,
        tls_client_certificate_bound_access_tokens=bound,
    )
    assert api.get(api.url).status == 200
    kept = [str(store.load(key)) for key in store.scan()[0]]
    assert any("tls_client_certificate_bound_access_tokens" in text for text in kept) == bound


def test_an_initial_access_token_authorizes_a_registration_and_is_not_stored(generic: Twin) -> None:
    generic._control("initial_access_token", {"token": "S3CR3T-init"})
    opened: list[str] = []

    def person(url: str) -> None:
        opened.append(url)
        browse(url)

    for wrong in (None, "S3CR3T-other"):
        api = connection(generic, open=person, client_name="Notes", initial_access_token=wrong)
        with pytest.raises(oauth_core.DeniedError) as refused:
            api.token()
        assert refused.value.status == 401
        assert "S3CR3T" not in f"{refused.value!r} {api!r}"
    assert opened == []

    store = oauth_core.stores.MemoryStore()
    options: Any = {"open": person, "client_name": "Notes", "initial_access_token": "S3CR3T-init"}
    api = connection(generic, store=store, **options)
    assert api.get(api.url).status == 200
    # The log redacts tokens: the server accepted the right one.
    authorized = [entry["path"] for entry in generic.log if "authorization" in dict(entry["headers"])]
    assert authorized == ["/register", "/register", "/api/echo"]
    # It entitles to register, and is not stored.
    kept = [store.load(key) for key in store.scan()[0]]
    assert kept and not any("S3CR3T" in str(entry) for entry in kept)
    assert len(opened) == 1
