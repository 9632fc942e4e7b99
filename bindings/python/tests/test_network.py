"""``Network``: certificates and proxies, for token requests and for calls to APIs."""

from __future__ import annotations

import asyncio
import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from conftest import ROOT, Answer, StubServer, example, process, reply, server_at

import oauth_core

Start = Callable[[Answer], StubServer]
PATH = "/api/v2/sessionResults/?testId=1"


@pytest.fixture(scope="module")
def tls() -> Iterator[dict[str, str]]:
    """The UserTesting twin behind TLS."""
    with process(example("tls"), ROOT) as server_info:
        yield server_info


def new_client(
    tls: dict[str, str], network: oauth_core.Network | None, base: str
) -> oauth_core.Client:
    server = oauth_core.provider("usertesting", loopback=base)
    return oauth_core.Client(
        server, client_id=tls["client_id"], client_secret=tls["client_secret"], network=network
    )


def api_status(tls: dict[str, str], network: oauth_core.Network | None, endpoint: str = "base") -> int:
    """Requests a token, calls the API with it, and returns the status."""
    base = tls[endpoint]
    source = new_client(tls, network, base).client_credentials(scope="studies:read")
    asyncio.run(source.atoken())
    return source.get(base + PATH).status


def error_code(call: Callable[[], Any]) -> str:
    with pytest.raises(oauth_core.OAuthError) as caught:
        call()
    return caught.value.code


def test_a_custom_certificate_authority_is_trusted_if_configured(tls: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(tls["ca"])
    for ca in (tls["ca"], file, str(file)):
        assert api_status(tls, oauth_core.Network(ca=ca)) == 200
        assert api_status(tls, oauth_core.Network(only_ca=ca)) == 200
    assert error_code(lambda: api_status(tls, None)) == "lost.tls"
    assert error_code(lambda: api_status(tls, oauth_core.Network())) == "lost.tls"


def test_the_client_certificate_is_presented_to_a_server_that_requests_one(tls: dict[str, str], tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text(tls["key"])
    certificate_and_key = tls["certificate"] + tls["key"]
    for network in (
        oauth_core.Network(ca=tls["ca"], client_certificate=tls["certificate"], client_key=key),
        oauth_core.Network(ca=tls["ca"], client_certificate=certificate_and_key),
    ):
        assert api_status(tls, network, "mutual") == 200
        assert "PRIVATE" not in repr(network)
    assert error_code(lambda: api_status(tls, oauth_core.Network(ca=tls["ca"]), "mutual")).startswith("lost")


class ConnectProxy(socketserver.BaseRequestHandler):
    """A proxy that accepts every CONNECT, and records the requests."""

    requests: list[str] = []

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(4096)
        self.requests.append(head.decode().lower())
        host, port = self.requests[-1].split(" ")[1].split(":")
        with socket.create_connection((host, int(port))) as server:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            upload = threading.Thread(target=relay, args=(self.request, server))
            upload.start()
            relay(server, self.request)
            upload.join()


def relay(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side has hung up


@pytest.fixture
def proxy() -> Iterator[str]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), ConnectProxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://ann:PASSW0RD@127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_token_requests_and_api_calls_use_the_configured_proxy(
    tls: dict[str, str], proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = ConnectProxy.requests
    network = oauth_core.Network(ca=tls["ca"], proxy=proxy)
    assert api_status(tls, network) == 200
    authority = tls["base"].removeprefix("https://")
    assert requests and all(one.startswith(f"connect {authority} ") for one in requests)
    assert all("proxy-authorization: basic " in one for one in requests)
    assert "PASSW0RD" not in repr(network)

    # By default, the proxy is that of the environment; "direct" means none.
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    requests.clear()
    assert api_status(tls, oauth_core.Network(ca=tls["ca"])) == 200 and requests
    requests.clear()
    assert api_status(tls, oauth_core.Network(ca=tls["ca"], proxy="direct")) == 200
    assert not requests


def test_each_entry_point_accepts_a_network(tls: dict[str, str]) -> None:
    network, base = oauth_core.Network(ca=tls["ca"]), tls["base"]
    client = new_client(tls, network, base)
    token = client.client_credentials(scope="studies:read").token().access_token
    fixed = oauth_core.fixed_token(token, origins=[base], network=network)
    assert fixed.get(base + PATH).status == 200
    plain = oauth_core.fixed_token(token, origins=[base])
    assert error_code(lambda: plain.get(base + PATH)) == "lost.tls"
    # An API uses the network of its source unless it has its own.
    assert oauth_core.Api(fixed).get(base + PATH).status == 200
    assert oauth_core.Api(plain, network=network).get(base + PATH).status == 200
    assert error_code(lambda: oauth_core.Api(plain).get(base + PATH)) == "lost.tls"
    # The twin publishes no metadata, but its 404 shows that the connection succeeded.
    assert error_code(lambda: oauth_core.discover(base)) == "lost.tls"
    assert error_code(lambda: oauth_core.discover(base, network=network)) != "lost.tls"


def test_invalid_network_settings_are_rejected_at_construction(tmp_path: Path) -> None:
    (empty := tmp_path / "empty.pem").write_text("nothing")
    broken = "-----BEGIN CERTIFICATE-----\nS3CR3T\n-----END CERTIFICATE-----\n"
    invalid: list[tuple[dict[str, Any], str]] = [
        ({"ca": tmp_path / "none.pem"}, "ca: "),
        ({"ca": empty}, "ca: "),
        ({"only_ca": empty}, "only_ca: "),
        ({"ca": "a\nb"}, "ca: "),
        ({"ca": broken}, "ca: "),
        ({"only_ca": broken}, "only_ca: "),
        ({"ca": "a", "only_ca": "b"}, "ca or only_ca"),
        ({"client_key": "S3CR3T"}, "client_key"),
        ({"client_certificate": "S3CR3T\n"}, "client_certificate: "),
        # A key that lacks its PEM lines.
        ({"client_certificate": "MIGHAgEAMBMGByqGSM49S3CR3T/a"}, "client_certificate: "),
        ({"client_certificate": empty, "client_key": tmp_path / "none.pem"}, "client_key: "),
        ({"proxy": "gopher://S3CR3T"}, "proxy"),
        ({"timeout": 0}, "timeout"),
        ({"connect_timeout": -1.0}, "connect_timeout"),
        ({"user_agent": "a\nb"}, "user_agent"),
    ]
    for options, named in invalid:
        with pytest.raises(oauth_core.MisuseError) as caught:
            oauth_core.Network(**options)
        assert caught.value.code == "transport.setup"
        assert f": {named}" in str(caught.value) or f" {named}" in str(caught.value)
        assert "S3CR3T" not in str(caught.value)


def test_an_invalid_header_is_reported_with_its_name_and_not_shown() -> None:
    server = oauth_core.Server.from_metadata(
        "https://as.example", {"issuer": "https://as.example", "token_endpoint": "https://as.example/token"}
    )
    tokens = oauth_core.fixed_token("t", origins=["https://api.example"])
    calls: list[Callable[[], object]] = [
        lambda: oauth_core.Client(server, client_id="c", headers={"x-team": "S3CR3T\nb"}),
        lambda: oauth_core.Client(server, client_id="c", headers={"x-team\n": "S3CR3T"}),
        lambda: tokens.get("https://api.example/", headers={"x-team": "S3CR3T\r\nb"}),
    ]
    for call in calls:
        with pytest.raises(oauth_core.MisuseError) as caught:
            call()
        assert caught.value.code == "http.header_value"
        assert "headers: x-team" in str(caught.value) and "S3CR3T" not in str(caught.value)


def test_clients_of_one_network_share_its_connections(plain: Start) -> None:
    tokens = b'{"access_token":"t","token_type":"Bearer"}'
    response = reply(200, tokens, content_type="application/json")
    connections: set[Any] = set()

    def record_connection(handler: BaseHTTPRequestHandler) -> None:
        connections.add(handler.client_address)
        response(handler)

    server = server_at(plain(record_connection).base)
    for networks in ([None, None], [oauth_core.Network()] * 2):
        connections.clear()
        for network in networks:
            client = oauth_core.Client(server, client_id="id", client_secret="s", network=network)
            assert client.client_credentials().token().access_token == "t"
        assert len(connections) == 1
    # Each network has its own connections.
    client = oauth_core.Client(server, client_id="id", client_secret="s", network=oauth_core.Network())
    client.client_credentials().token()
    assert len(connections) == 2


def test_localhost_is_accepted_as_loopback(plain: Start) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        base = f"http://{handler.headers['host']}"
        document = {"issuer": base, "token_endpoint": f"{base}/token"}
        body = document if handler.command == "GET" else TOKENS
        reply(200, json.dumps(body).encode(), content_type="application/json")(handler)

    base = plain(respond).base.replace("127.0.0.1", "localhost")
    server = oauth_core.discover(base, transport="loopback_http")
    client = oauth_core.Client(server, client_id="id", client_secret="s")
    assert client.client_credentials().token().access_token == "t"
    with pytest.raises(oauth_core.MisuseError):
        oauth_core.discover(base)


TOKENS = {"access_token": "t", "token_type": "Bearer"}
