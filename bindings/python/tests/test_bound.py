"""Tokens that are bound, against npm's oidc-provider: over a restart, and to a certificate."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, process
from test_identity import CALLBACK, Browser

import oauth_core
import oauth_core.stores

FOLDER = ROOT / "tests/interop/oidc-provider"
TLS = json.loads((FOLDER / "tls.json").read_text())


def test_a_dpop_bound_grant_is_renewed_after_a_restart(tmp_path: Path) -> None:
    """Key, tokens and nonces are stored: nothing else is left of the first process."""
    with process(["env", "ACCESS_TOKEN_SECONDS=3", "node", "fapi.mjs"], FOLDER) as server_info:
        issuer, key = server_info["issuer"], server_info["clients"]["security"]["private_key"]

        def started() -> tuple[oauth_core.Client, oauth_core.GrantSource]:
            store = oauth_core.stores.FileStore(tmp_path)
            client = oauth_core.Client(
                oauth_core.discover(issuer, transport="loopback_http"),
                client_id="security",
                client_auth=oauth_core.PrivateKeyJwt(key, alg="ES256"),
                dpop_key=oauth_core.DpopKey.open(store, "bank"),
                profile="fapi2_security",
            )
            return client, client.source(store=store, subject="ann")

        def counters() -> Any:
            with urllib.request.urlopen(f"{issuer}/_counters") as reply:
                return json.load(reply)

        def fetch_subject(source: oauth_core.GrantSource) -> Any:
            return source.get(f"{issuer}/me", origins=[issuer]).json()["sub"]

        client, source = started()
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid offline_access")
        source.log_in(client.redeem(flow, Browser().open(flow.url)))
        assert fetch_subject(source) == "somebody"
        time.sleep(3.1)
        before = counters()
        source = started()[1]
        assert fetch_subject(source) == "somebody"
        after = counters()
        assert after["refreshes"] == before["refreshes"] + 1
        # The first renewal has a nonce already: a refresh token may be spent by a request that lacks one.
        assert after["use_dpop_nonce"] == before["use_dpop_nonce"]
        assert after["refused"] == before["refused"] == 0

        # What the API has said is stored with the next tokens, and known to the next process.
        time.sleep(3.1)
        assert fetch_subject(source) == "somebody"
        before = counters()
        assert fetch_subject(started()[1]) == "somebody"
        assert counters()["use_dpop_nonce_at_api"] == before["use_dpop_nonce_at_api"] > 0


@pytest.mark.parametrize(
    ("which", "auth"),
    [
        ("tls-pki", oauth_core.TlsClientAuth),
        ("tls-self-signed", oauth_core.SelfSignedTlsClientAuth),
    ],
)
def test_client_credentials_tokens_are_bound_to_the_client_certificate(which: str, auth: Any) -> None:
    with process(["env", f"TLS={json.dumps(TLS)}", "node", "server.mjs"], FOLDER) as server_info:
        shown = oauth_core.Network(
            only_ca=TLS["ca"], client_certificate=TLS["client"], client_key=TLS["client_key"]
        )
        hidden = oauth_core.Network(only_ca=TLS["ca"])
        server = oauth_core.discover(server_info["issuer"], network=shown)

        def client(network: oauth_core.Network) -> oauth_core.Client:
            return oauth_core.Client(
                server,
                client_id=which,
                client_auth=auth(),
                tls_client_certificate_bound_access_tokens=True,
                network=network,
            )

        token = client(shown).client_credentials(scope="read").token().access_token
        state = client(shown).introspect(token=token)
        der = ssl.PEM_cert_to_DER_cert(TLS["client"])
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
        assert state.active and state.extra["cnf"] == {"x5t#S256": thumbprint}
        client(shown).revoke(token=token)
        # Nobody else gets one: the alias asks for the certificate.
        with pytest.raises(oauth_core.LostError):
            client(hidden).client_credentials(scope="read").token()


@pytest.mark.parametrize("which", ["tls-pki", "tls-bound"])
def test_a_bound_token_is_accepted_only_with_its_certificate(which: str) -> None:
    """RFC 8705 section 3: UserInfo takes the token over a connection that shows the certificate, and over no other."""
    with process(["env", f"TLS={json.dumps(TLS)}", "node", "server.mjs"], FOLDER) as server_info:
        issuer = server_info["issuer"]

        def network(certificate: str, key: str) -> oauth_core.Network:
            return oauth_core.Network(
                only_ca=TLS["ca"], client_certificate=TLS[certificate], client_key=TLS[key]
            )

        # The server's own is of the same authority, and another.
        ours, theirs = network("client", "client_key"), network("cert", "key")
        server = oauth_core.discover(issuer, network=ours)
        secret = server_info["clients"][which].get("client_secret")
        auth = oauth_core.ClientSecretBasic(secret) if secret else oauth_core.TlsClientAuth()

        def client(network: oauth_core.Network) -> oauth_core.Client:
            return oauth_core.Client(
                server,
                client_id=which,
                client_auth=auth,
                tls_client_certificate_bound_access_tokens=True,
                network=network,
            )

        flow = client(ours).authorize(redirect_uri=CALLBACK, scope="openid")
        context = ssl.create_default_context(cadata=TLS["ca"])
        browser = Browser(urllib.request.HTTPSHandler(context=context))
        login = client(ours).redeem(flow, browser.open(flow.url))
        renewed = client(ours).refresh(tokens=login)
        assert renewed.access_token != login.access_token
        for tokens in (login, renewed):
            assert client(ours).userinfo(tokens=tokens, subject="somebody").subject == "somebody"
            with pytest.raises(oauth_core.DeniedError) as refused:
                client(theirs).userinfo(tokens=tokens, subject="somebody")
            assert refused.value.code == "denied.invalid_token"
            # No certificate is presented unless it is requested.
            request = urllib.request.Request(f"{issuer}/me")
            request.add_header("authorization", f"Bearer {tokens.access_token}")
            with pytest.raises(urllib.error.HTTPError) as without:
                urllib.request.urlopen(request, context=context)
            with without.value as response:
                assert response.status == 401
