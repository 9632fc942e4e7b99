"""Workloads that their X.509-SVIDs authenticate over mutual TLS (OAuth SPIFFE Client Authentication)."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, example, process

import oauth_core


@pytest.fixture(scope="module")
def server_info() -> Iterator[Any]:
    with process(example("spiffe_tls"), ROOT) as server_info:
        yield server_info


def client(server_info: Any, svid: str | None, **trust: Any) -> oauth_core.Client:
    trust = trust or {"only_ca": server_info["ca"]}
    network = oauth_core.Network(client_certificate=svid, client_key=svid, **trust)
    found = oauth_core.discover(server_info["base"], network=oauth_core.Network(only_ca=server_info["ca"]))
    return oauth_core.Client(
        found,
        client_id=server_info["spiffe_id"],
        client_auth=oauth_core.SpiffeX509(),
        tls_client_certificate_bound_access_tokens=True,
        network=network,
    )


def code(client: oauth_core.Client) -> str:
    with pytest.raises(oauth_core.OAuthError) as caught:
        client.client_credentials().token()
    return caught.value.code


def test_an_x509_svid_authenticates_over_mutual_tls(server_info: Any) -> None:
    tokens = client(server_info, server_info["svid"]).client_credentials().token()
    assert tokens.client_id == server_info["spiffe_id"]
    tls = ssl.create_default_context(cadata=server_info["ca"])
    with urllib.request.urlopen(f"{server_info['base']}/_twin/log", context=tls) as log:
        requests = [entry for entry in json.load(log) if entry["path"] == "/token"]
    # The certificate is the whole of the authentication.
    assert requests[-1]["form"] == [["grant_type", "client_credentials"], ["client_id", server_info["spiffe_id"]]]


def test_a_missing_svid_or_one_of_another_workload_is_refused(server_info: Any) -> None:
    assert code(client(server_info, server_info["other_svid"])) == "denied.invalid_client"
    assert code(client(server_info, None)).startswith("lost.")


def test_the_svid_authority_is_not_trusted_for_server_certificates(server_info: Any) -> None:
    assert code(client(server_info, server_info["svid"], ca=None)).startswith("lost.")
