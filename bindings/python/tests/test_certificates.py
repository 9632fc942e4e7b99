"""Tokens that are bound to a certificate, at an API on TLS that compares it (RFC 8705 section 3)."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT, example, process

import oauth_core
import oauth_core.httpx
import oauth_core.stores

CALLBACK = "https://app.example/callback"
WORKERS = 4


class Bank:
    def __init__(self, said: Any) -> None:
        self.said = said
        self.origins = [said["mutual"]]
        self.api = f"{said['mutual']}/api/echo"
        self.tls = ssl.create_default_context(cadata=said["ca"])

    def network(self, number: int) -> oauth_core.Network:
        both = self.said["certificates"][number]
        return oauth_core.Network(only_ca=self.said["ca"], client_certificate=both, client_key=both)

    def client(self, number: int) -> oauth_core.Client:
        network = self.network(number)
        return oauth_core.Client(
            oauth_core.discover(self.said["base"], network=network),
            client_id=self.said["client_id"],
            client_auth=oauth_core.TlsClientAuth(),
            tls_client_certificate_bound_access_tokens=True,
            id_token_signed_response_alg="PS256",
            network=network,
        )

    def tokens(self, client: oauth_core.Client) -> oauth_core.Tokens:
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid read", push="always")
        with httpx.Client(verify=self.tls, trust_env=False) as browser:
            return client.redeem(flow, browser.get(flow.url).headers["location"])

    def steer(self, route: str) -> None:
        url = f"{self.said['base']}/_twin/{route}"
        request = urllib.request.Request(url, data=b"{}", method="POST")
        urllib.request.urlopen(request, context=self.tls).close()

    def refreshes(self) -> int:
        with urllib.request.urlopen(f"{self.said['base']}/_twin/counters", context=self.tls) as said:
            count: int = json.load(said)["refreshes"]
            return count

    def status(self, source: Any) -> int:
        try:
            return int(source.get(self.api, origins=self.origins).status)
        except oauth_core.OAuthError as error:
            pytest.fail(f"{error.code}: {error}")


@pytest.fixture(scope="module")
def bank() -> Iterator[Bank]:
    with process(example("fapi_tls"), ROOT) as said:
        yield Bank(said)


def test_an_api_takes_a_token_with_its_certificate_only(bank: Bank, tmp_path: Path) -> None:
    source = bank.client(0).client_credentials(scope="read")
    token = source.token().access_token
    assert bank.status(source) == 200
    for number, expected in ((0, 200), (1, 401)):
        both = tmp_path / f"{number}.pem"
        both.write_text(bank.said["certificates"][number])
        shown = ssl.create_default_context(cadata=bank.said["ca"])
        shown.load_cert_chain(both)
        with httpx.Client(verify=shown, trust_env=False) as http:
            stolen = http.get(bank.api, headers={"Authorization": f"Bearer {token}"})
            assert stolen.status_code == expected
            # The plug-in of a client that shows it.
        attached = oauth_core.httpx.Auth(source, origins=bank.origins)
        with httpx.Client(verify=shown, trust_env=False, auth=attached) as http:
            assert http.get(bank.api).status_code == expected


def test_certificates_are_replaced_under_a_fleet_at_work(bank: Bank) -> None:
    """One store, and one worker after the other with a new certificate."""
    store = oauth_core.stores.Memory()
    old, new = bank.client(0), bank.client(1)

    def worker(client: oauth_core.Client) -> Any:
        return client.source(store=store, subject="alice")

    worker(old).log_in(bank.tokens(old))
    fleet = [worker(old) for _ in range(WORKERS)]
    before = bank.refreshes()

    def work() -> None:
        assert [bank.status(source) for source in fleet] == [200] * WORKERS

    work()
    assert bank.refreshes() == before
    for replaced in range(WORKERS):
        fleet[replaced] = worker(new)
        work()
        # The first that has the new one gets a token for it; the others still use theirs.
        assert bank.refreshes() == before + 1
    bank.steer("expire")
    work()
    assert bank.refreshes() == before + 2
