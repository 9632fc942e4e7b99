"""Tokens that are bound to a certificate, at an API on TLS that compares it (RFC 8705 section 3)."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
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
    def __init__(self, server_info: Any) -> None:
        self.server_info = server_info
        self.origins = [server_info["mutual"]]
        self.api = f"{server_info['mutual']}/api/echo"
        self.tls = ssl.create_default_context(cadata=server_info["ca"])

    def network(self, number: int) -> oauth_core.Network:
        both = self.server_info["certificates"][number]
        return oauth_core.Network(only_ca=self.server_info["ca"], client_certificate=both, client_key=both)

    def client(self, number: int) -> oauth_core.Client:
        network = self.network(number)
        return oauth_core.Client(
            oauth_core.discover(self.server_info["base"], network=network),
            client_id=self.server_info["client_id"],
            client_auth=oauth_core.TlsClientAuth(),
            tls_client_certificate_bound_access_tokens=True,
            id_token_signed_response_alg="PS256",
            network=network,
        )

    def log_in(self, client: oauth_core.Client) -> oauth_core.Tokens:
        flow = client.begin_authorization(redirect_uri=CALLBACK, scope="openid read", push="always")
        with httpx.Client(verify=self.tls, trust_env=False) as browser:
            return client.redeem(flow, browser.get(flow.url).headers["location"])

    def control(self, route: str) -> None:
        url = f"{self.server_info['base']}/_twin/{route}"
        request = urllib.request.Request(url, data=b"{}", method="POST")
        urllib.request.urlopen(request, context=self.tls).close()

    def counter(self, name: str) -> int:
        with urllib.request.urlopen(f"{self.server_info['base']}/_twin/counters", context=self.tls) as counters_response:
            count: int = json.load(counters_response)[name]
            return count

    def refreshes(self) -> int:
        return self.counter("refreshes")

    def misbound_count(self) -> int:
        """How often the API was sent a token over a connection with a certificate other than the token's."""
        return self.counter("api_misbound")

    def status(self, source: Any) -> int:
        try:
            return int(source.get(self.api, origins=self.origins).status)
        except oauth_core.OAuthError as error:
            pytest.fail(f"{error.code}: {error}")


@pytest.fixture(scope="module")
def bank() -> Iterator[Bank]:
    with process(example("fapi_tls"), ROOT) as server_info:
        yield Bank(server_info)


def test_an_api_accepts_a_certificate_bound_token_only_with_its_certificate(bank: Bank, tmp_path: Path) -> None:
    before = bank.misbound_count()
    source = bank.client(0).client_credentials(scope="read")
    token = source.token().access_token
    assert bank.status(source) == 200
    for number, expected in ((0, 200), (1, 401)):
        certificate_and_key = tmp_path / f"{number}.pem"
        certificate_and_key.write_text(bank.server_info["certificates"][number])
        tls = ssl.create_default_context(cadata=bank.server_info["ca"])
        tls.load_cert_chain(certificate_and_key)
        with httpx.Client(verify=tls, trust_env=False) as http:
            stolen = http.get(bank.api, headers={"Authorization": f"Bearer {token}"})
            assert stolen.status_code == expected
            # The same request with the plug-in of an HTTP client that presents this certificate.
        attached = oauth_core.httpx.Auth(source, origins=bank.origins)
        with httpx.Client(verify=tls, trust_env=False, auth=attached) as http:
            assert http.get(bank.api).status_code == expected
    # The stolen token was misbound once, and that of the plug-in twice: its HTTP client presents a certificate other
    # than the network's.
    assert bank.misbound_count() > before


def test_clients_that_authenticate_with_different_certificates_share_no_token(bank: Bank) -> None:
    store = oauth_core.stores.MemoryStore()
    misbound_count = bank.misbound_count()
    sources = []
    for number in (0, 1):
        network = bank.network(number)
        client = oauth_core.Client(
            oauth_core.discover(bank.server_info["base"], network=network),
            client_id=bank.server_info["client_id"],
            client_auth=oauth_core.TlsClientAuth(),
            network=network,
        )
        sources.append(client.client_credentials(scope="read", store=store))
    tokens = {source.token().access_token for source in sources}
    assert len(tokens) == 2
    assert [bank.status(source) for source in sources] == [200, 200]
    assert bank.misbound_count() == misbound_count


def test_replacing_the_certificates_of_running_workers_fails_no_call(bank: Bank) -> None:
    """Workers with a shared store get the new certificate one by one."""
    store = oauth_core.stores.MemoryStore()
    old, new = bank.client(0), bank.client(1)

    def worker(client: oauth_core.Client) -> Any:
        return client.source(store=store, subject="alice")

    worker(old).log_in(bank.log_in(old))
    fleet = [worker(old) for _ in range(WORKERS)]
    before = bank.refreshes()
    misbound_count = bank.misbound_count()

    def call_from_each() -> None:
        assert [bank.status(source) for source in fleet] == [200] * WORKERS

    call_from_each()
    assert bank.refreshes() == before
    for replaced in range(WORKERS):
        fleet[replaced] = worker(new)
        call_from_each()
        # The first that has the new one gets a token for it; the others still use theirs.
        assert bank.refreshes() == before + 1
    bank.control("expire")
    call_from_each()
    assert bank.refreshes() == before + 2
    # No token was sent with another certificate.
    assert bank.misbound_count() == misbound_count


def test_tokens_that_expire_during_the_rotation_fail_no_call(bank: Bank) -> None:
    """Each worker finds a token of the other in the store, and renews it without sending it."""
    store = oauth_core.stores.MemoryStore()
    old, new = bank.client(0), bank.client(1)
    first = old.source(store=store, subject="bob")
    first.log_in(bank.log_in(old))
    fleet = [first, new.source(store=store, subject="bob")]
    misbound_count = bank.misbound_count()
    for _ in range(3):
        before = bank.refreshes()
        assert [bank.status(source) for source in fleet * 2] == [200] * 4
        assert bank.refreshes() - before <= 2
        bank.control("expire")
    assert bank.misbound_count() == misbound_count


class Process:
    """A worker in a process of its own, which runs this file."""

    def __init__(self, bank: Bank, number: int, place: Path) -> None:
        config = json.dumps({"said": bank.server_info, "number": number, "place": str(place)})
        command = [sys.executable, "-B", __file__, config]
        pipe = subprocess.PIPE
        self.started = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def request_tokens(self) -> None:
        assert self.started.stdin
        self.started.stdin.write("call\n")
        self.started.stdin.flush()

    def status(self) -> str:
        assert self.started.stdout
        return self.started.stdout.readline().strip()

    def stop(self) -> None:
        assert self.started.stdin and self.started.stdout
        self.started.stdin.close()
        self.started.stdout.close()
        assert self.started.wait(20) == 0


def run_worker(config: Any) -> None:
    """Calls the API for each line, with the grant in the file store."""
    bank = Bank(config["said"])
    store = oauth_core.stores.FileStore(config["place"])
    source = bank.client(config["number"]).source(store=store, subject="carol")
    for _ in sys.stdin:
        print(source.get(bank.api, origins=bank.origins).status, flush=True)


def test_processes_with_two_certificates_find_their_own_tokens_in_a_file_store(bank: Bank, tmp_path: Path) -> None:
    folder = tmp_path / "grants"
    store = oauth_core.stores.FileStore(folder)
    login = bank.client(0).source(store=store, subject="carol")
    login.log_in(bank.log_in(bank.client(0)))
    misbound_count = bank.misbound_count()

    def call(fleet: list[Process]) -> int:
        """Has all workers call at once; returns the number of token requests that this takes."""
        before = bank.counter("token_requests")
        for worker in fleet:
            worker.request_tokens()
        assert [worker.status() for worker in fleet] == ["200"] * len(fleet)
        return bank.counter("token_requests") - before

    def started() -> list[Process]:
        fleet.extend(Process(bank, number, folder) for number in (0, 1))
        return fleet[-2:]

    fleet: list[Process] = []
    # The worker with the other certificate needs its own token.
    assert call(started()) == 1
    for _ in range(2):
        # Workers that start later find the token for their certificate.
        assert call(started()) == 0
        # Two hours later, each certificate needs a new token, which the other workers find.
        assert login.key is not None
        version, record = store.load(login.key) or (0, "")
        old = re.sub(r'"received_at":(\d+)', lambda at: f'"received_at":{int(at[1]) - 7200}', record)
        assert old.count('"received_at"') == 2 and store.save(login.key, old, version)
        assert call(started()) == 2
        assert call(fleet[-2:]) == 0
    for worker in fleet:
        worker.stop()
    assert bank.misbound_count() == misbound_count


def test_tokens_bound_to_another_certificate_are_renewed_instead_of_sent(bank: Bank) -> None:
    """After a restart with a new certificate, the tokens are still bound to the old one, even without a store."""
    tokens = bank.log_in(bank.client(0))
    copy = oauth_core.Tokens.deserialize(tokens.serialize())
    before, misbound_count = bank.refreshes(), bank.misbound_count()
    assert bank.status(bank.client(0).source(copy)) == 200
    assert bank.refreshes() == before
    assert bank.status(bank.client(1).source(copy)) == 200
    assert bank.refreshes() == before + 1
    assert bank.misbound_count() == misbound_count


if __name__ == "__main__":
    run_worker(json.loads(sys.argv[1]))
