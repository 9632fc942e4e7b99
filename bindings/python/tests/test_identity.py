"""The identity of the user at npm's oidc-provider: encrypted and signed tokens, and logout."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from conftest import ROOT, Answer, NoRedirect, StubServer, process, reply

import oauth_core

CALLBACK = "http://127.0.0.1/callback"
HOME = "http://127.0.0.1/signed-out"
API = "https://api.example/"


def client_of(server_info: Any, which: str, **options: Any) -> oauth_core.Client:
    server = oauth_core.discover(server_info["issuer"], transport="loopback_http")
    data = server_info["clients"][which]
    if "decryption_key" in data:
        options["decryption_keys"] = [json.dumps(data["decryption_key"])]
    auth = oauth_core.ClientSecretBasic(data["client_secret"])
    return oauth_core.Client(server, client_id=data["client_id"], client_auth=auth, **options)


class Browser:
    """A headless browser: keeps cookies, and stops at the redirect URI."""

    def __init__(self, *handlers: urllib.request.BaseHandler) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar, NoRedirect, *handlers)

    def open(self, url: str, form: dict[str, str] | None = None) -> str:
        """The page, or the URL at which the browser leaves the server."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self.opener.open(url, data) as page:
                return str(page.read().decode())
        except urllib.error.HTTPError as response:
            assert response.status == 303, response.status
            location = urllib.parse.urljoin(url, response.headers["location"])
            response.close()
        return location if location.startswith((CALLBACK, HOME)) else self.open(location)

    def sign_in(self, client: oauth_core.Client, **extra: str) -> oauth_core.Tokens:
        flow = client.authorize(redirect_uri=CALLBACK, scope="openid read", extra=extra)
        return client.redeem(flow, self.open(flow.url))

    def sign_out(self, url: str, form: dict[str, str] | None = None) -> str:
        """The user approves on the server's page."""
        page = self.open(url, form)
        action = re.search(r'action="([^"]*)"', page)
        xsrf = re.search(r'name="xsrf" value="([^"]*)"', page)
        assert action and xsrf
        return self.open(action[1], {"xsrf": xsrf[1], "logout": "yes"})


@pytest.mark.parametrize("alg", ["RSA-OAEP-256", "ECDH-ES+A256KW", "A192GCMKW", "dir"])
def test_an_encrypted_id_token_is_decrypted(oidc: Any, alg: Any) -> None:
    def client(enc: str) -> oauth_core.Client:
        return client_of(
            oidc,
            f"id-token-{alg}-A256CBC-HS512",
            id_token_encrypted_response_alg=alg,
            id_token_encrypted_response_enc=enc,
        )

    tokens = Browser().sign_in(client("A256CBC-HS512"))
    assert tokens.claims and tokens.claims["sub"] == "somebody"
    with pytest.raises(oauth_core.OAuthError) as caught:
        Browser().sign_in(client("A256GCM"))
    assert caught.value.code == "jwe.alg_not_allowed"


ALGS = (
    "ES256 ES384 ES512 EdDSA Ed25519 RS256 RS384 RS512 PS256 PS384 PS512 HS256 HS384 HS512".split()
)


def test_id_tokens_signed_with_each_algorithm_are_verified(oidc: Any) -> None:
    offered = [which[len("signed-") :] for which in oidc["clients"] if which.startswith("signed-")]
    assert sorted(offered) == sorted(ALGS)
    for at, alg in enumerate(ALGS):
        client = client_of(oidc, f"signed-{alg}", id_token_signed_response_alg=alg)
        tokens = Browser().sign_in(client)
        assert tokens.claims and tokens.claims["sub"] == "somebody", alg
        other = client_of(oidc, f"signed-{alg}", id_token_signed_response_alg=ALGS[at - 1])
        with pytest.raises(oauth_core.OAuthError) as caught:
            Browser().sign_in(other)
        assert caught.value.code == "jws.alg_not_allowed", alg


def test_tokens_are_verified_after_the_server_rotates_its_keys() -> None:
    with process(["node", "server.mjs"], ROOT / "tests/interop/oidc-provider") as server_info:
        client = client_of(server_info, "logout")
        before = Browser().sign_in(client)
        keys = client.export_keys()
        request = urllib.request.Request(f"{server_info['issuer']}/_rotate", method="POST")
        urllib.request.urlopen(request).close()
        after = Browser().sign_in(client)
        assert after.claims and after.claims["sub"] == "somebody"
        assert client.export_keys() != keys

        def verified(tokens: oauth_core.Tokens) -> oauth_core.IdToken:
            assert tokens.id_token and tokens.claims
            return client.verify_id_token(token=tokens.id_token, nonce=tokens.claims["nonce"])

        assert verified(after).subject == "somebody"
        with pytest.raises(oauth_core.OAuthError) as caught:
            verified(before)
        assert caught.value.code == "jws.no_matching_key"


def test_a_hybrid_code_must_match_its_id_token(oidc: Any) -> None:
    client = client_of(oidc, "hybrid")

    def begin() -> tuple[oauth_core.PendingAuthorization, str]:
        flow = client.authorize(
            redirect_uri=CALLBACK, scope="openid read", response_type="code id_token"
        )
        return flow, Browser().open(flow.url)

    flow, callback = begin()
    claims = client.redeem(flow, callback).claims
    assert claims and claims["sub"] == "somebody"
    flow, callback = begin()
    with pytest.raises(oauth_core.OAuthError) as caught:
        client.redeem(flow, re.sub(r"code=[^&]*", "code=another", callback))
    assert caught.value.code == "id_token.c_hash"
    with pytest.raises(TypeError, match="response_type"):
        client.authorize(redirect_uri=CALLBACK, response_type="token")  # type: ignore[arg-type]


def test_signed_and_encrypted_userinfo_responses_are_verified(oidc: Any) -> None:
    signed = client_of(oidc, "userinfo-signed", userinfo_signed_response_alg="ES256")
    both = client_of(
        oidc,
        "userinfo-both",
        userinfo_signed_response_alg="PS256",
        userinfo_encrypted_response_alg="ECDH-ES",
        userinfo_encrypted_response_enc="A256GCM",
    )
    for client in (signed, both):
        tokens = Browser().sign_in(client)
        assert client.userinfo(tokens=tokens, subject="somebody").claims["sub"] == "somebody"
        with pytest.raises(oauth_core.OAuthError) as caught:
            client.userinfo(tokens=tokens, subject="somebody else")
        assert caught.value.code == "userinfo.subject"
    other = client_of(oidc, "userinfo-signed", userinfo_signed_response_alg="RS256")
    with pytest.raises(oauth_core.OAuthError) as caught:
        other.userinfo(tokens=Browser().sign_in(other), subject="somebody")
    assert caught.value.code == "jws.alg_not_allowed"


def test_a_signed_introspection_response_is_verified(oidc: Any) -> None:
    client = client_of(oidc, "introspection-signed")
    token = client.client_credentials(scope="read").token().access_token
    introspection = client.introspect(token=token, signed_response_alg="ES256")
    assert (introspection.active, introspection.client_id) == (True, "introspection-signed")
    assert not client.introspect(token="never issued", signed_response_alg="ES256").active
    with pytest.raises(oauth_core.OAuthError) as caught:
        client.introspect(token=token, signed_response_alg="RS256")
    assert caught.value.code == "jws.alg_not_allowed"


def test_an_api_verifies_an_access_token_and_its_audience(oidc: Any) -> None:
    client = client_of(oidc, "basic")
    token = client.client_credentials(scope="read", resource=[API]).token().access_token
    verified = oauth_core.AccessTokenVerifier(client.server, audience=API, scope="read").verify(token)
    assert (verified.issuer, verified.client_id) == (oidc["issuer"], client.client_id)
    elsewhere = oauth_core.AccessTokenVerifier(client.server, audience="https://other.example/")
    with pytest.raises(oauth_core.OAuthError) as caught:
        elsewhere.verify(token)
    assert (caught.value.code, caught.value.response_status) == ("jwt.audience", 401)


def test_a_token_encrypted_for_an_api_is_read_only_by_that_api(oidc: Any) -> None:
    client, sealed = client_of(oidc, "basic"), "https://sealed.example/"
    token, plain = (
        client.client_credentials(scope="read", resource=[api]).token().access_token
        for api in (sealed, API)
    )

    def verifier(enc: Literal["A128GCM", "A256GCM"]) -> oauth_core.AccessTokenVerifier:
        return oauth_core.AccessTokenVerifier(
            client.server,
            audience=[sealed, API],
            access_token_encryption_alg="ECDH-ES",
            access_token_encryption_enc=enc,
            decryption_keys=[json.dumps(oidc["clients"]["sealed-api"]["decryption_key"])],
        )

    verified = verifier("A256GCM").verify(token)
    assert (verified.audience, verified.client_id) == ((sealed,), client.client_id)
    encryption = {"access_token_encryption_alg": "ECDH-ES", "access_token_encryption_enc": "A256GCM"}
    api = client_of(oidc, "sealed-api", **encryption)
    assert api.verify_access_token(token=token, audience=[sealed]).audience == (sealed,)

    def refused(verifier: oauth_core.AccessTokenVerifier, token: str) -> tuple[str, int | None]:
        with pytest.raises(oauth_core.OAuthError) as caught:
            verifier.verify(token)
        return (caught.value.code, caught.value.response_status)

    assert refused(verifier("A256GCM"), plain) == ("jwe.not_encrypted", 401)
    assert refused(verifier("A128GCM"), token) == ("jwe.alg_not_allowed", 401)
    alone = oauth_core.AccessTokenVerifier(client.server, audience=sealed)
    assert refused(alone, token) == ("jwe.unexpected", 401)


@pytest.fixture
def posting(
    plain: Callable[[Answer], StubServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, StubServer]]:
    """A server of its own that tells about logouts, and where it does."""
    mailbox = plain(reply(200))
    monkeypatch.setitem(os.environ, "BACKCHANNEL_LOGOUT_URI", f"{mailbox.base}/logout")
    monkeypatch.setitem(os.environ, "POST_METHODS", "1")
    with process(["node", "server.mjs"], ROOT / "tests/interop/oidc-provider") as server_info:
        yield server_info, mailbox


def test_the_logout_form_ends_the_session_of_the_user(posting: tuple[Any, StubServer]) -> None:
    client, browser = client_of(posting[0], "logout"), Browser()
    form = client.end_session_form(
        id_token_hint=browser.sign_in(client).id_token,
        post_logout_redirect_uri=HOME,
        state="a +%/ state",
    )
    oauth_core.check_logout_return(
        browser.sign_out(form.action, form.fields), state="a +%/ state"
    )
    with pytest.raises(oauth_core.DeniedError) as error:
        browser.sign_in(client, prompt="none")
    assert error.value.error == "login_required"


def test_a_logout_returns_and_its_logout_token_is_accepted_once(posting: tuple[Any, StubServer]) -> None:
    server_info, mailbox = posting
    client, browser = client_of(server_info, "logout"), Browser()
    tokens = browser.sign_in(client)
    browser.sign_in(client, prompt="none")
    url = client.end_session_url(
        id_token_hint=tokens.id_token, post_logout_redirect_uri=HOME, state="a +%/ state"
    )
    home = urllib.parse.urlsplit(browser.sign_out(url))
    assert home.geturl().startswith(HOME)
    assert urllib.parse.parse_qs(home.query) == {"state": ["a +%/ state"]}
    with pytest.raises(oauth_core.DeniedError) as error:
        browser.sign_in(client, prompt="none")
    assert error.value.error == "login_required"

    # The server waits for the answer to what it posts before it sends the browser home.
    [(method, path, _, body)] = mailbox.seen
    assert (method, path) == ("POST", "/logout")
    [token] = urllib.parse.parse_qs(body.decode())["logout_token"]
    ended = client.verify_logout_token(token=token)
    assert tokens.claims and ended.sid == tokens.claims["sid"]
    with pytest.raises(oauth_core.OAuthError) as replayed:
        client.verify_logout_token(token=token)
    assert replayed.value.code == "logout_token.replayed"
