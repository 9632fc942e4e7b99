"""Grants without a browser of the client's, and clients that register themselves, at npm's oidc-provider."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from conftest import ROOT, Answer, StubServer, process, reply
from test_django_oauth_toolkit import Form
from test_grants_elsewhere import concurrently
from test_identity import API, CALLBACK, Browser, client_of

import oauth_core

SCOPE = "openid read"
MESSAGE = "W4SCT"
OTHER = "https://other.example/"


def server_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> AbstractContextManager[Any]:
    """A server of the test's own, with these environment variables."""
    for name, value in variables.items():
        monkeypatch.setitem(os.environ, name, value)
    return process(["node", "server.mjs"], ROOT / "tests/interop/oidc-provider")


def refused(caught: pytest.ExceptionInfo[oauth_core.OAuthError]) -> str:
    return caught.value.code


def is_signed_in(tokens: oauth_core.Tokens) -> None:
    assert tokens.claims and tokens.claims["sub"] == "somebody"


def refusals(server_info: Any, client: oauth_core.Client) -> int:
    """The number of refused token requests of this client."""
    with urllib.request.urlopen(f"{server_info['issuer']}/_counters/{client.client_id}") as response:
        return int(json.load(response)["refused"])


def after_authorization_pending(server_info: Any, client: oauth_core.Client, act: Callable[[], None]) -> AbstractContextManager[None]:
    """Runs `act` concurrently with the block, after a poll without tokens."""
    before = refusals(server_info, client)

    def wait() -> None:
        end = time.monotonic() + 30
        while refusals(server_info, client) == before:
            assert time.monotonic() < end, "nobody asks"
            time.sleep(0.02)
        act()

    return concurrently(wait)


def visit(url: str, code: oauth_core.DeviceAuthorizationResponse, **pressed: str) -> str:
    """The user opens the page, enters the code and presses the button; returns the server's response."""
    browser = Browser()
    page, form_values = browser.open(url), {"user_code": code.user_code}
    page = browser.open(code.verification_uri, Form(page, form_values).fields)
    return browser.open(code.verification_uri, {**Form(page, form_values).fields, **pressed})


def device(call: Callable[..., Any], client: oauth_core.Client, **more: Any) -> oauth_core.DeviceAuthorizationResponse:
    code = call(client, "device_authorization", scope=SCOPE, **more)
    assert isinstance(code, oauth_core.DeviceAuthorizationResponse)
    return code


def waiting(code: oauth_core.DeviceAuthorizationResponse, **more: Any) -> dict[str, Any]:
    poll_arguments = {"device_code": code.device_code, "expires_at": code.expires_at, "scope": SCOPE}
    return {**poll_arguments, "interval": 1, **more}


def test_a_device_gets_tokens_after_the_user_enters_the_code(
    oidc: Any, call: Callable[..., Any]
) -> None:
    client = client_of(oidc, "device")
    code = device(call, client)
    assert code.verification_uri.startswith(oidc["issuer"]) and code.interval == 5

    def enter_code() -> None:
        assert visit(code.verification_uri, code) == "signed in"

    with after_authorization_pending(oidc, client, enter_code):
        tokens = call(client, "poll_device_token", **waiting(code))
    is_signed_in(tokens)
    # A code can be used only once.
    with pytest.raises(oauth_core.DeniedError) as spent:
        call(client, "poll_device_token", **waiting(code))
    assert refused(spent) == "denied.invalid_grant"


def test_a_device_login_denied_by_the_user_is_reported(oidc: Any, call: Callable[..., Any]) -> None:
    client = client_of(oidc, "device")
    code = device(call, client)
    assert code.verification_uri_complete
    visit(code.verification_uri_complete, code, abort="yes")
    with pytest.raises(oauth_core.DeniedError) as no:
        call(client, "poll_device_token", **waiting(code))
    assert refused(no) == "denied.access_denied"


def test_a_device_gets_tokens_for_the_requested_resource_only(oidc: Any) -> None:
    client = client_of(oidc, "device")
    code = client.device_authorization(scope=SCOPE, resource=[API])
    visit(code.verification_uri, code)
    tokens = client.poll_device_token(**waiting(code, resource=[API]))
    is_signed_in(tokens)
    verifier = oauth_core.AccessTokenVerifier(client.server, audience=API, scope="read")
    assert verifier.verify(tokens.access_token).client_id == "device"
    code = client.device_authorization(scope=SCOPE, resource=[API])
    visit(code.verification_uri, code)
    with pytest.raises(oauth_core.DeniedError) as other:
        client.poll_device_token(**waiting(code, resource=[OTHER]))
    assert refused(other) == "denied.invalid_target"


def begun(
    call: Callable[..., Any], client: oauth_core.Client, **more: Any
) -> oauth_core.BackchannelAuthenticationResponse:
    backchannel_options = {"login_hint": "somebody", "binding_message": MESSAGE, "requested_expiry": 60}
    request = call(client, "backchannel_authentication", scope=SCOPE, **backchannel_options, **more)
    assert isinstance(request, oauth_core.BackchannelAuthenticationResponse)
    assert (request.expires_in, request.interval) == (60, 5)
    return request


def decide(server_info: Any, verdict: str) -> None:
    """The user reads the message on their device, and approves or denies."""
    with urllib.request.urlopen(f"{server_info['issuer']}/_answer/{verdict}", b"") as response:
        assert response.read().decode() == MESSAGE


def test_the_user_approves_on_their_own_device(oidc: Any, call: Callable[..., Any]) -> None:
    client = client_of(oidc, "ciba-poll")

    def poll(request: oauth_core.BackchannelAuthenticationResponse) -> Any:
        poll_arguments = {"auth_req_id": request.auth_req_id, "expires_at": request.expires_at, "interval": 1}
        return call(client, "poll_backchannel_token", scope=SCOPE, **poll_arguments)

    request = begun(call, client)
    with after_authorization_pending(oidc, client, lambda: decide(oidc, "yes")):
        is_signed_in(poll(request))
    request = begun(call, client)
    with after_authorization_pending(oidc, client, lambda: decide(oidc, "no")):
        with pytest.raises(oauth_core.DeniedError) as declined:
            poll(request)
    assert refused(declined) == "denied.access_denied"
    with pytest.raises(oauth_core.DeniedError) as denied:
        call(client, "backchannel_authentication", login_hint="a stranger", scope=SCOPE)
    assert (refused(denied), denied.value.error) == ("denied.other", "unknown_user_id")


class NotificationEndpoint:
    """The notification endpoint of the client: verifies pings and responds accordingly."""

    def __init__(self, plain: Callable[[Answer], StubServer], call: Callable[..., Any]) -> None:
        self.call = call
        self.verdicts: list[str] = []
        self.mailbox = plain(self.receive)
        self.uri = f"{self.mailbox.base}/notified"

    def begin(self, client: oauth_core.Client) -> oauth_core.BackchannelAuthenticationResponse:
        self.client = client
        self.request = begun(self.call, client, token_delivery_mode="ping")
        return self.request

    def receive(self, handler: BaseHTTPRequestHandler) -> None:
        _, _, headers, body = self.mailbox.seen[-1]
        notification = {"authorization": headers.get("authorization"), "body": body.decode()}
        token = self.request.client_notification_token
        pending = {"auth_req_id": self.request.auth_req_id, "client_notification_token": token}
        try:
            self.call(self.client, "verify_ping", **pending, **notification)
        except oauth_core.OAuthError as error:
            self.verdicts.append(error.code)
            challenge = {"www_authenticate": error.challenge} if error.challenge else {}
            reply(error.response_status or 500, b"", **challenge)(handler)
        else:
            self.verdicts.append("ours")
            reply(204)(handler)

    def post(self, authorization: str, auth_req_id: str) -> tuple[int, str | None]:
        """The status and the challenge of the response to a ping from anyone else."""
        body = json.dumps({"auth_req_id": auth_req_id}).encode()
        headers = {"authorization": authorization, "content-type": "application/json"}
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(self.uri, body, headers))
        with caught.value as response:
            return response.code, response.headers["www-authenticate"]


@pytest.fixture
def notified(plain: Callable[[Answer], StubServer], call: Callable[..., Any]) -> NotificationEndpoint:
    return NotificationEndpoint(plain, call)


@pytest.fixture
def notifying(notified: NotificationEndpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that notifies the client once the user has decided."""
    with server_with(monkeypatch, BACKCHANNEL_NOTIFICATION_URI=notified.uri) as server_info:
        yield server_info


def test_the_client_is_notified_after_the_user_decides(
    notified: NotificationEndpoint, notifying: Any, call: Callable[..., Any]
) -> None:
    client = client_of(notifying, "ciba-ping")

    def poll_once(request: oauth_core.BackchannelAuthenticationResponse) -> Any:
        return call(client, "poll_backchannel_token", auth_req_id=request.auth_req_id, scope=SCOPE)

    request = notified.begin(client)
    assert not notified.mailbox.seen, "nobody has answered"
    # The server waits for the client, and tells the person's device if it did not take the notification.
    decide(notifying, "yes")
    [(method, path, _, _)] = notified.mailbox.seen
    assert (method, path, notified.verdicts) == ("POST", "/notified", ["ours"])
    is_signed_in(poll_once(request))
    assert refusals(notifying, client) == 0, "it has asked once"

    request = notified.begin(client)
    decide(notifying, "no")
    assert notified.verdicts == ["ours", "ours"]
    with pytest.raises(oauth_core.DeniedError) as no:
        poll_once(request)
    assert refused(no) == "denied.access_denied"


def test_notifications_from_other_senders_are_refused(notified: NotificationEndpoint, notifying: Any) -> None:
    request = notified.begin(client_of(notifying, "ciba-ping"))
    assert notified.post("Bearer another", request.auth_req_id) == (401, "Bearer")
    assert notified.post(f"Bearer {request.client_notification_token}", "another") == (400, None)
    assert notified.verdicts == ["ciba.client_notification_token", "ciba.unknown_request"]
    decide(notifying, "yes")
    assert notified.verdicts[-1] == "ours"


def test_a_ping_mode_client_must_send_a_notification_token(notifying: Any, call: Callable[..., Any]) -> None:
    with pytest.raises(oauth_core.DeniedError) as without:
        begun(call, client_of(notifying, "ciba-ping"))
    assert refused(without) == "denied.invalid_request"


ASKED: dict[str, Any] = {
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid offline_access read",
    "client_name": "App",
}
BY_SECRET = {
    **ASKED,
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": [*ASKED["grant_types"], "client_credentials"],
}


def discover_server(server_info: Any) -> oauth_core.Server:
    return oauth_core.discover(str(server_info["issuer"]), transport="loopback_http")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_a_registered_client_logs_users_in(oidc: Any, call: Callable[..., Any], method: str) -> None:
    server = discover_server(oidc)
    metadata = {**ASKED, "token_endpoint_auth_method": method}
    registration = call(oauth_core.Client(server), "register", metadata=metadata)
    assert isinstance(registration, oauth_core.RegisteredClient)
    assert registration.token_endpoint_auth_method == method
    assert (registration.client_secret is None) == (method == "none")
    client = oauth_core.Client(server, registered=registration.stored)
    tokens = Browser().sign_in(client)
    is_signed_in(tokens)
    renewed = call(client, "refresh", tokens=tokens)
    assert renewed.access_token != tokens.access_token


def test_a_client_registers_its_public_key_and_authenticates_with_the_private_key(oidc: Any) -> None:
    auth = oauth_core.PrivateKeyJwt(oidc["clients"]["key-ES256"]["private_key"], alg="ES256")
    method = {"token_endpoint_auth_method": "private_key_jwt", "jwks": auth.public_jwks()}
    server = discover_server(oidc)
    registration = oauth_core.Client(server).register(metadata={**BY_SECRET, **method})
    assert registration.client_secret is None
    client = oauth_core.Client(server, registered=registration.stored, client_auth=auth)
    assert client.client_credentials(scope="read").token().scope == {"read"}
    with pytest.raises(oauth_core.MisuseError) as without:
        oauth_core.Client(server, registered=registration.stored)
    assert refused(without) == "client_auth.no_usable_method"


def test_a_registration_is_read_updated_and_deleted(oidc: Any, call: Callable[..., Any]) -> None:
    server = discover_server(oidc)
    unregistered_client = oauth_core.Client(server)
    first = call(unregistered_client, "register", metadata=BY_SECRET)
    read = call(unregistered_client, "read_registration", registered=first.stored)
    assert (read.client_id, read.metadata["client_name"]) == (first.client_id, "App")

    renamed = {**BY_SECRET, "client_name": "New"}
    updated = call(unregistered_client, "update_registration", registered=read.stored, metadata=renamed)
    assert (updated.client_id, updated.metadata["client_name"]) == (first.client_id, "New")
    # The server has replaced the token, and the new one is good.
    assert updated.registration_access_token != read.registration_access_token
    with pytest.raises(oauth_core.DeniedError) as spent:
        call(unregistered_client, "read_registration", registered=read.stored)
    assert refused(spent) == "denied.invalid_token"
    again = call(unregistered_client, "read_registration", registered=updated.stored)
    assert again.metadata["client_name"] == "New"
    client = oauth_core.Client(server, registered=again.stored)
    assert client.client_credentials(scope="read").token().access_token

    call(unregistered_client, "delete_registration", registered=again.stored)
    with pytest.raises(oauth_core.DeniedError) as error:
        call(unregistered_client, "read_registration", registered=again.stored)
    assert refused(error) == "denied.invalid_token"
    with pytest.raises(oauth_core.DeniedError) as unknown:
        oauth_core.Client(server, registered=again.stored).client_credentials(scope="read").token()
    assert refused(unknown) == "denied.invalid_client"


def test_metadata_that_the_server_rejects_is_reported_with_its_error_code(oidc: Any) -> None:
    unregistered_client = oauth_core.Client(discover_server(oidc))
    public = {**ASKED, "token_endpoint_auth_method": "none"}
    # A native application cannot claim the https of a name that leads to every machine.
    claimed = {"redirect_uris": [CALLBACK, "https://localhost/callback"], "application_type": "native"}
    odd = {"grant_types": ["authorization_code", "odd"]}
    for more, code in (
        (claimed, "denied.invalid_redirect_uri"),
        (odd, "denied.invalid_client_metadata"),
    ):
        with pytest.raises(oauth_core.DeniedError) as caught:
            unregistered_client.register(metadata={**public, **more})
        assert refused(caught) == code


def test_registration_requires_a_valid_initial_access_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_with(monkeypatch, INITIAL_ACCESS_TOKEN="S3CR3T-init") as server_info:
        unregistered_client = oauth_core.Client(discover_server(server_info))
        public = {**ASKED, "token_endpoint_auth_method": "none"}
        with pytest.raises(oauth_core.DeniedError):
            unregistered_client.register(metadata=public)
        with pytest.raises(oauth_core.DeniedError) as caught:
            unregistered_client.register(metadata=public, initial_access_token="S3CR3T-other")
        assert refused(caught) == "denied.invalid_token" and "S3CR3T" not in str(caught.value)
        assert unregistered_client.register(metadata=public, initial_access_token="S3CR3T-init").client_id
