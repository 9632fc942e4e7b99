"""Sign-ins at a site whose provider, npm's oidc-provider, signs its responses (JARM)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from conftest import ROOT, process
from test_identity import Browser

import oauth_core
from oauth_core.stores import MemoryStore
from oauth_core.web import Provider, Reply, Request, Site, User

KEY = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
BASE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    with process(["node", "fapi.mjs"], ROOT / "tests/interop/oidc-provider") as server_info:
        yield server_info


def client_of(server_info: Any, which: str, **options: Any) -> oauth_core.Client:
    server = oauth_core.discover(server_info["issuer"], transport="loopback_http")
    auth = oauth_core.PrivateKeyJwt(server_info["clients"][which]["private_key"], alg="ES256")
    return oauth_core.Client(server, client_id=which, client_auth=auth, **options)


class Person:
    """A browser for a site without a socket: the provider accepts its redirect URI on any port."""

    def __init__(self, client: oauth_core.Client, response_mode: Any = None, **settings: Any) -> None:
        at = Provider(client, scope="openid read", callback="/callback", response_mode=response_mode)
        self.site = Site(providers=[at], base_url=BASE, key=KEY, transport="loopback_http", **settings)
        self.cookies: dict[str, str] = {}

    def open(self, target: str) -> object:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = [("accept", "text/html"), ("cookie", cookies)]
        response = self.site.visit(Request("GET", "127.0.0.1", target, headers), "signed_in")
        if isinstance(response, Reply):
            for name, value in response.headers:
                if name == "set-cookie":
                    pair, ended = value.split(";")[0].partition("="), "Max-Age=0" in value
                    self.cookies[pair[0]] = pair[2]
                    if ended:
                        del self.cookies[pair[0]]
        return response

    def callback(self) -> str:
        """The target of the redirect back from the provider."""
        begun = self.open("/me")
        assert isinstance(begun, Reply) and begun.status == 303, begun
        url = urlsplit(Browser().open(dict(begun.headers)["location"]))
        assert url.path == "/callback" and url.query.startswith("response=") and "&" not in url.query
        return f"{url.path}?{url.query}"

    def signed_in(self, callback: str) -> str:
        back = self.open(callback)
        assert isinstance(back, Reply) and (back.status, dict(back.headers)["location"]) == (303, "/me")
        user = self.open("/me")
        assert isinstance(user, User)
        return user.subject


@pytest.mark.parametrize("mode", ["jwt", "query.jwt"])
def test_a_signed_response_is_accepted_and_additional_unsigned_parameters_are_refused(provider: Any, mode: str) -> None:
    client = client_of(provider, "browser", request_object_signing_alg="ES256")
    person = Person(client, mode)
    assert person.signed_in(person.callback()) == "somebody"
    for parameter in ("code=another", "error=access_denied"):
        person = Person(client, mode)
        mixed = person.open(f"{person.callback()}&{parameter}")
        assert isinstance(mixed, Reply) and mixed.status == 400
        assert b"callback.mixed_response" in mixed.body and not person.cookies


def test_an_encrypted_response_completes_a_login(provider: Any) -> None:
    encrypted = client_of(
        provider,
        "encrypted",
        authorization_encrypted_response_alg="ECDH-ES",
        authorization_encrypted_response_enc="A256GCM",
        decryption_keys=[json.dumps(provider["clients"]["encrypted"]["decryption_key"])],
    )
    person = Person(encrypted, "jwt")
    callback = person.callback()
    assert callback.count(".") == 4
    assert person.signed_in(callback) == "somebody"


def test_a_message_signing_client_logs_in_without_a_setting_of_the_site(provider: Any) -> None:
    key = oauth_core.DpopKey.generate()
    signing = client_of(provider, "signing", dpop_key=key, profile="fapi2_message_signing")
    person = Person(signing, store=MemoryStore())
    assert person.signed_in(person.callback()) == "somebody"


def test_a_fragment_response_mode_is_rejected(provider: Any) -> None:
    client = client_of(provider, "browser")
    for mode in ("fragment", "fragment.jwt"):
        with pytest.raises(TypeError, match="response_mode: .*browsers do not send a fragment to servers"):
            Provider(client, response_mode=cast(Any, mode))
    posted = Provider(client, response_mode="form_post.jwt")
    assert Site(providers=[posted], base_url="https://shop.example", key=KEY)
    with pytest.raises(oauth_core.MisuseError, match="SameSite=None") as caught:
        Site(providers=[posted], base_url=BASE, key=KEY, transport="loopback_http")
    assert caught.value.code == "web.setup"
    environ = {"OAUTH_ISSUER": "https://as.example", "OAUTH_CLIENT_ID": "id", "OAUTH_BASE_URL": BASE, "OAUTH_KEY": KEY}
    with pytest.raises(oauth_core.MisuseError, match="SameSite=None"):
        Site.from_env(environ=environ, transport="loopback_http", response_mode="form_post.jwt")
    assert Site.from_env(environ=environ, transport="loopback_http", response_mode="query.jwt")
