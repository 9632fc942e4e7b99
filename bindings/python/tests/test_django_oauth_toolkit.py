"""An authorization server of other authors: PyPI's django-oauth-toolkit. The user signs in on its pages."""

from __future__ import annotations

import http.cookiejar
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from conftest import NoRedirect, django_oauth_toolkit

import oauth_core

CALLBACK = "http://127.0.0.1/callback"
HOME = "http://127.0.0.1/signed-out"
REGISTRATION = {
    "redirect_uris": [CALLBACK],
    "token_endpoint_auth_method": "none",
    "client_name": "App",
}


@pytest.fixture(scope="module")
def django() -> Iterator[Any]:
    with django_oauth_toolkit() as server_info:
        yield server_info


@pytest.fixture
def restarted_django() -> Iterator[Any]:
    """A separate server for tests that would affect others."""
    with django_oauth_toolkit() as server_info:
        yield server_info


def make_client(
    server_info: Any, which: str, *, server: oauth_core.Server | None = None, **options: Any
) -> oauth_core.Client:
    """The client of this name, of a server known by its preset unless it is given."""
    base = server_info["issuer"].removesuffix("/o")
    server = server or oauth_core.provider(
        "django-oauth-toolkit", host="moved.example", loopback=base
    )
    data = server_info["clients"][which]
    secret = data.get("client_secret")
    auth = oauth_core.ClientSecretBasic(secret) if secret else oauth_core.Public()
    options = {"client_auth": auth, **options}
    return oauth_core.Client(server, client_id=data["client_id"], **options)


def control(server_info: Any, what: str) -> None:
    """Sends a control request, which the server supports for tests only."""
    with urllib.request.urlopen(server_info["issuer"].removesuffix("/o") + what, b"") as reply:
        assert reply.status == 204


class Form(HTMLParser):
    """The fields that a user fills in on a page; hidden fields, including the CSRF token, are unchanged."""

    def __init__(self, page: str, form_values: dict[str, str]) -> None:
        super().__init__()
        self.form_values = form_values
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        name = attributes.get("name")
        if tag not in ("input", "button") or name is None:
            return
        if name in self.form_values:
            self.fields[name] = self.form_values[name]
        elif attributes.get("type") == "hidden":
            self.fields[name] = attributes.get("value") or ""


class Person:
    """A user with a browser, who fills in the forms of the server and approves."""

    def __init__(self, server_info: Any) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar, NoRedirect)
        self.form_values = {**server_info["person"], "allow": "yes", "action": "accept"}

    def visit(self, url: str, **form_values: str) -> str:
        """The URL at which the browser leaves the server, or the page without a form."""
        data = None
        for _ in range(12):
            try:
                with self.opener.open(url, data) as reply:
                    page = str(reply.read().decode())
            except urllib.error.HTTPError as reply:
                assert reply.status == 302, reply.read().decode()
                url, data = urllib.parse.urljoin(url, reply.headers["location"]), None
                if url.startswith((CALLBACK, HOME)):
                    return url
                continue
            fields = Form(page, {**self.form_values, **form_values}).fields
            if not fields:
                return page
            data = urllib.parse.urlencode(fields).encode()
        raise AssertionError(f"the forms go round in circles: {url}")

    def sign_in(self, client: oauth_core.Client, scope: str, **extra: str) -> oauth_core.Tokens:
        flow = client.authorize(redirect_uri=CALLBACK, scope=scope, extra=extra)
        return client.redeem(flow, self.visit(flow.url))


def refused(error: pytest.ExceptionInfo[oauth_core.OAuthError]) -> str:
    return error.value.code


def test_discovery_returns_the_endpoints(django: Any) -> None:
    server = oauth_core.discover(django["issuer"], transport="loopback_http")
    assert server.issuer == django["issuer"]
    for name in ("token", "authorization", "revocation", "introspection"):
        assert server.metadata[f"{name}_endpoint"].startswith(django["issuer"])


@pytest.mark.parametrize("method", [oauth_core.ClientSecretBasic, oauth_core.ClientSecretPost])
def test_client_credentials_with_special_characters_are_accepted(django: Any, method: Any) -> None:
    data = django["clients"]["machine"]
    client = make_client(django, "machine", client_auth=method(data["client_secret"]))
    tokens = client.client_credentials(scope="read write").token()
    assert tokens.scope == {"read", "write"} and tokens.expires_in == 60
    state = client.introspect(token=tokens.access_token, token_type_hint="access_token")
    assert state.active and state.client_id == data["client_id"]
    client.revoke(token=tokens.access_token, token_type_hint="access_token")
    assert client.introspect(token=tokens.access_token) == oauth_core.IntrospectionResponse(active=False)


@pytest.mark.parametrize("method", [oauth_core.ClientSecretBasic, oauth_core.ClientSecretPost])
def test_a_wrong_client_secret_is_reported_as_invalid_client(django: Any, method: Any) -> None:
    client = make_client(django, "machine", client_auth=method("wrong: +%/"))
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.client_credentials().token()
    error = caught.value
    assert (error.code, error.status, error.endpoint) == ("denied.invalid_client", 401, "token")
    assert "wrong: +%/" not in str(error)


@pytest.mark.parametrize(
    ("which", "alg", "other"),
    [("web", "RS256", "HS256"), ("native", "RS256", "ES256"), ("hs256", "HS256", "RS256")],
)
def test_a_login_identifies_the_user(django: Any, which: str, alg: str, other: str) -> None:
    client = make_client(django, which, id_token_signed_response_alg=alg)
    tokens = Person(django).sign_in(client, "openid profile email")
    claims = tokens.claims
    assert claims and claims["iss"] == django["issuer"] and claims["nonce"] and claims["at_hash"]
    assert claims["email"] == "somebody@app.example"
    userinfo = client.userinfo(tokens=tokens, subject=claims["sub"])
    assert userinfo.claims["name"] == "Some Body"
    with pytest.raises(oauth_core.OAuthError) as caught:
        client.userinfo(tokens=tokens, subject="somebody else")
    assert refused(caught) == "userinfo.subject"
    with pytest.raises(oauth_core.OAuthError) as caught:
        Person(django).sign_in(make_client(django, which, id_token_signed_response_alg=other), "openid")
    assert refused(caught) == "jws.alg_not_allowed"


@pytest.mark.parametrize("which", ["native", "web"])
def test_refresh_tokens_rotate_and_reuse_revokes_the_grant(django: Any, which: str) -> None:
    client = make_client(django, which)
    tokens = Person(django).sign_in(client, "read")
    renewed = client.refresh(tokens=tokens)
    assert renewed.refresh_token and renewed.refresh_token != tokens.refresh_token
    # The server detects a reused token, and revokes the grant.
    for spent in (tokens, renewed):
        with pytest.raises(oauth_core.DeniedError) as caught:
            client.refresh(tokens=spent)
        assert (caught.value.code, caught.value.advice) == ("denied.invalid_grant", "reauthorize")


def test_a_refresh_token_can_be_revoked_and_revoking_an_unknown_token_succeeds(django: Any) -> None:
    client = make_client(django, "web")
    tokens = Person(django).sign_in(client, "read")
    assert tokens.refresh_token
    assert client.introspect(token=tokens.access_token).username == "somebody"
    client.revoke(token=tokens.refresh_token, token_type_hint="refresh_token")
    client.revoke(token="never-issued")
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.refresh(tokens=tokens)
    assert caught.value.code == "denied.invalid_grant"


def test_an_unregistered_redirect_uri_and_an_injected_code_are_refused(django: Any) -> None:
    client, person = make_client(django, "web"), Person(django)
    elsewhere = client.authorize(redirect_uri="http://127.0.0.1/elsewhere", scope="read")
    with pytest.raises(AssertionError, match="redirect"):
        person.visit(elsewhere.url)

    # The verifier of another flow with the state of this one: what a code injected from elsewhere meets.
    flow = client.authorize(redirect_uri=CALLBACK, scope="read")
    other = client.authorize(redirect_uri=CALLBACK, scope="read")
    stolen = {**json.loads(other.serialize()), "state": json.loads(flow.serialize())["state"]}
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.redeem(oauth_core.PendingAuthorization.deserialize(json.dumps(stolen)), person.visit(flow.url))
    assert caught.value.code == "denied.invalid_grant"


def test_a_denial_without_iss_is_rejected_if_the_metadata_announces_iss(django: Any) -> None:
    found = oauth_core.discover(django["issuer"], transport="loopback_http")
    clients = [make_client(django, "web"), make_client(django, "web", server=found)]
    for client, code in zip(clients, ["denied.access_denied", "callback.missing_issuer"]):
        flow = client.authorize(redirect_uri=CALLBACK, scope="read")
        home = Person(django).visit(flow.url, allow="")
        with pytest.raises(oauth_core.OAuthError) as caught:
            client.redeem(flow, home)
        assert refused(caught) == code


def test_device_authorization_returns_a_code_that_the_user_can_enter(django: Any) -> None:
    device = make_client(django, "device").device_authorization(scope="read")
    assert device.interval == 5 and device.verification_uri.startswith(django["issuer"])
    page = Person(django).visit(device.verification_uri, user_code=device.user_code)
    assert "Authorized" in page


def test_a_device_login_completes_when_the_user_approves_it(django: Any) -> None:
    client, people = make_client(django, "device"), []

    def show(code: oauth_core.DeviceAuthorizationResponse) -> None:
        form_values = {"user_code": code.user_code}
        person = threading.Thread(
            target=Person(django).visit, args=(code.verification_uri,), kwargs=form_values
        )
        person.start()
        people.append(person)

    tokens = oauth_core.login(client, scope="read", device=True, show=show)
    assert tokens.scope == {"read"} and tokens.refresh_token
    for person in people:
        person.join()


def test_a_registered_client_logs_users_in(django: Any) -> None:
    server = oauth_core.discover(django["issuer"], transport="loopback_http")
    registration = oauth_core.Client(server).register(metadata=REGISTRATION)
    assert isinstance(registration, oauth_core.RegisteredClient)
    client = oauth_core.Client(server, registered=registration.stored)
    tokens = Person(django).sign_in(client, "read")
    assert tokens.client_id == registration.client_id
    assert client.refresh(tokens=tokens).access_token != tokens.access_token
    # It does not say when a secret expires, as it has to (RFC 7591 section 3.2.1).
    secret = {**REGISTRATION, "token_endpoint_auth_method": "client_secret_basic"}
    registration = oauth_core.Client(server).register(metadata=secret)
    assert isinstance(registration, oauth_core.RegisteredClient) and list(registration.warnings) == ["secret_expiry_missing"]
    assert Person(django).sign_in(oauth_core.Client(server, registered=registration.stored), "read").refresh_token


def test_a_registration_is_read_updated_and_deleted(django: Any) -> None:
    server = oauth_core.discover(django["issuer"], transport="loopback_http")
    unregistered_client = oauth_core.Client(server)
    first = unregistered_client.register(metadata=REGISTRATION)
    read = unregistered_client.read_registration(registered=first.stored)
    assert (read.client_id, read.metadata["client_name"]) == (first.client_id, "App")
    renamed = {**REGISTRATION, "client_name": "New"}
    updated = unregistered_client.update_registration(registered=read.stored, metadata=renamed)
    assert updated.metadata["client_name"] == "New"
    # The server has replaced the token.
    with pytest.raises(oauth_core.DeniedError) as spent:
        unregistered_client.read_registration(registered=read.stored)
    assert refused(spent) == "denied.invalid_token"
    unregistered_client.delete_registration(registered=updated.stored)
    with pytest.raises(oauth_core.DeniedError) as error:
        unregistered_client.read_registration(registered=updated.stored)
    assert refused(error) == "denied.invalid_token"


def test_an_api_names_the_issuer_of_its_tokens(django: Any) -> None:
    api = django["issuer"].removesuffix("/o") + "/api"
    server = oauth_core.discover(django["issuer"], transport="loopback_http")
    unregistered_client = oauth_core.Client(server, client_id="id", client_auth=oauth_core.Public())
    found = unregistered_client.resource_metadata(resource=api)
    assert (found.resource, list(found.authorization_servers)) == (api, [django["issuer"]])
    assert found.scopes_supported is not None and "read" in found.scopes_supported
    with pytest.raises(urllib.error.HTTPError) as closed:
        urllib.request.urlopen(api)
    with closed.value as response:
        challenges = response.headers.get_all("www-authenticate", [])
    assert (closed.value.code, len(challenges)) == (401, 1)
    # Its URL is on the origin that the caller named: it may lead to this machine.
    assert unregistered_client.resource_metadata(resource=api, challenges=challenges).metadata == found.metadata


def test_resource_metadata_is_about_the_requested_path(django: Any) -> None:
    api = django["issuer"].removesuffix("/o") + "/api"
    server = oauth_core.discover(django["issuer"], transport="loopback_http")
    unregistered_client = oauth_core.Client(server, client_id="id", client_auth=oauth_core.Public())
    assert unregistered_client.resource_metadata(resource=f"{api}/below").resource == f"{api}/below"
    with pytest.raises(oauth_core.OAuthError) as other:
        unregistered_client.resource_metadata(resource=f"{api}/")
    assert refused(other) == "resource_metadata.resource"
    assert unregistered_client.resource_metadata(resource=f"{api}/", matching="parent").resource == api


def test_a_login_succeeds_after_the_signing_keys_are_rotated(restarted_django: Any) -> None:
    client, person = make_client(restarted_django, "web"), Person(restarted_django)
    kids = set()
    for _ in range(2):
        tokens = person.sign_in(client, "openid")
        assert tokens.id_token and tokens.claims
        kids.add(tokens.id_token.split(".")[0])
        control(restarted_django, "/_rotate")
    assert len(kids) == 2, "each was signed with another key"


def test_a_refresh_is_rejected_if_auth_time_changed_unless_the_preset_allows_it(restarted_django: Any) -> None:
    found = oauth_core.discover(restarted_django["issuer"], transport="loopback_http")
    plain, by_preset = make_client(restarted_django, "web", server=found), make_client(restarted_django, "native")
    person = Person(restarted_django)
    # The session of this browser is an hour old when the clients are signed in to.
    person.sign_in(plain, "openid")
    control(restarted_django, "/_pass_an_hour")
    old = [person.sign_in(client, "openid") for client in (plain, by_preset)]
    Person(restarted_django).sign_in(plain, "openid")
    with pytest.raises(oauth_core.OAuthError) as caught:
        plain.refresh(tokens=old[0])
    assert refused(caught) == "id_token.auth_time_changed"
    assert by_preset.refresh(tokens=old[1]).id_token


def test_a_logout_returns_to_the_application_and_ends_the_grant(restarted_django: Any) -> None:
    client, person = make_client(restarted_django, "web"), Person(restarted_django)
    tokens = person.sign_in(client, "openid")
    url = client.end_session_url(
        id_token_hint=tokens.id_token, post_logout_redirect_uri=HOME, state="a +%/ state"
    )
    home = urllib.parse.urlsplit(person.visit(url))
    assert home.geturl().startswith(HOME)
    assert urllib.parse.parse_qs(home.query) == {"state": ["a +%/ state"]}
    # The session is gone, and the grant has ended with it.
    flow = client.authorize(redirect_uri=CALLBACK, scope="read", extra={"prompt": "none"})
    assert "error=login_required" in person.visit(flow.url)
    with pytest.raises(oauth_core.DeniedError) as caught:
        client.refresh(tokens=tokens)
    assert caught.value.code == "denied.invalid_grant"


def test_discovery_reads_the_preferred_metadata_document(django: Any) -> None:
    def endpoints(**options: Any) -> set[str]:
        found = oauth_core.discover(django["issuer"], transport="loopback_http", **options)
        endpoint_names = ("userinfo_endpoint", "revocation_endpoint")
        return {name for name in endpoint_names if name in found.metadata}

    assert endpoints() == {"revocation_endpoint"}
    assert endpoints(prefer="openid") == {"userinfo_endpoint"}
    with pytest.raises(ValueError, match="prefer"):
        endpoints(prefer="saml")
