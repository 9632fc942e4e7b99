"""Additional parameters of token requests: resources, audiences, and those of a provider."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

import pytest
from conftest import StubServer, server_at

import oauth_core
from oauth_core import stores

Start = Callable[[Callable[[BaseHTTPRequestHandler], None]], StubServer]

A, B = "https://a.example/", "urn:b"
EXTRA = {"expiring": "1", "tag": ["x", "y"]}
SENT = [
    ("resource", A),
    ("resource", B),
    ("audience", "c"),
    ("expiring", "1"),
    ("tag", "x"),
    ("tag", "y"),
]


class TokenEndpoint:
    """Returns a different token for each request."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.count += 1
        reply = {
            "access_token": f"a{self.count}",
            "refresh_token": f"r{self.count}",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        body = json.dumps(reply).encode()
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def server(plain: Start) -> StubServer:
    return plain(TokenEndpoint())


@pytest.fixture
def client(server: StubServer) -> oauth_core.Client:
    return oauth_core.Client(server_at(server.base), client_id="app", client_secret="s3cret")


def sent_parameters(server: StubServer) -> list[tuple[str, str]]:
    """The parameters of the last request, except those of its grant."""
    grant_parameters = {"grant_type", "code", "code_verifier", "redirect_uri", "refresh_token", "scope"}
    grant_parameters |= {"username", "password"}
    form = parse_qsl(server.seen[-1][3].decode(), strict_parsing=True)
    return [(name, value) for name, value in form if name not in grant_parameters]


def test_client_credentials_requests_send_resources_audiences_and_extra_parameters(
    server: StubServer, client: oauth_core.Client
) -> None:
    source = client.client_credentials(resource=[A, B], audience=["c"], extra=EXTRA)
    token = source.token()
    assert sent_parameters(server) == SENT
    source.invalidate(token)
    assert source.token().access_token != token.access_token
    assert sent_parameters(server) == SENT


def test_a_login_and_each_renewal_send_the_requested_parameters(server: StubServer, client: oauth_core.Client) -> None:
    flow = client.authorize(
        redirect_uri="https://app.example/cb",
        resource=[A, B],
        audience=["c"],
        extra={"prompt": "login"},
        token_extra=EXTRA,
    )
    query = parse_qsl(urlsplit(flow.url).query)
    expected = [("resource", A), ("resource", B), ("audience", "c"), ("prompt", "login")]
    names = {name for name, _ in expected}
    assert sorted(pair for pair in query if pair[0] in names) == sorted(expected)
    assert not {"expiring", "tag"} & dict(query).keys()
    state = dict(query)["state"]
    tokens = client.redeem(flow, f"https://app.example/cb?code=c0de&state={state}")
    assert sent_parameters(server) == SENT
    client.refresh(tokens=tokens, resource=[A], extra={"tag": "z"})
    assert sent_parameters(server) == [("resource", A), ("tag", "z")]
    source = client.source(tokens, resource=[A, B], audience=["c"], extra=EXTRA)
    source.invalidate(source.token())
    source.token()
    assert sent_parameters(server) == SENT


def test_resources_audiences_and_extra_parameters_identify_a_grant_in_any_order(server: StubServer, client: oauth_core.Client) -> None:
    store = stores.MemoryStore()
    first = client.client_credentials(resource=[A, B], extra=EXTRA, store=store).token()
    again = client.client_credentials(
        resource=[B, A], extra=dict(reversed(EXTRA.items())), store=store
    )
    assert again.token().access_token == first.access_token
    for other in (
        client.client_credentials(resource=[A], extra=EXTRA, store=store),
        client.client_credentials(resource=[A, B], store=store),
        client.client_credentials(resource=[A, B], audience=["c"], extra=EXTRA, store=store),
    ):
        assert other.token().access_token != first.access_token
    sessions = oauth_core.Grants(client, store)
    assert sessions.get(resource=[A, B], extra=EXTRA).token().access_token == first.access_token
    sessions.log_out(None, resource=[B, A], extra=EXTRA)
    assert sessions.get(resource=[A, B], extra=EXTRA).token().access_token != first.access_token
    grants, failed, _ = sessions.list()
    assert failed == []
    assert [A, B] in [grant["resource"] for grant in grants]
    assert ["c"] in [grant["audience"] for grant in grants]


def test_step_by_step_exchanges_send_resources_audiences_and_extra_parameters(client: oauth_core.Client) -> None:
    for exchange in (
        client.exchange.client_credentials(resource=[A], audience=["c"], extra={"tag": "x"}),
        client.exchange.password(
            username="u", password="p", resource=[A], audience=["c"], extra={"tag": "x"}
        ),
    ):
        step = next(exchange)
        assert isinstance(step, oauth_core.Send)
        form = parse_qsl(step.body.decode())
        assert form[-3:] == [("resource", A), ("audience", "c"), ("tag", "x")]


def test_reserved_parameters_and_invalid_resources_are_rejected(server: StubServer, client: oauth_core.Client) -> None:
    with pytest.raises(oauth_core.MisuseError) as refused:
        client.client_credentials(extra={"client_secret": "x"})
    assert refused.value.code == "form.reserved_parameter"
    with pytest.raises(oauth_core.MisuseError) as refused:
        client.client_credentials(resource=["no uri"])
    assert refused.value.code == "resource.syntax"
    with pytest.raises(TypeError, match="'extra': expected an object of strings or lists of strings") as wrong:
        client.client_credentials(extra={"tag": ["x", 5]})  # type: ignore[list-item]
    assert "5" not in str(wrong.value)
    assert server.seen == []
