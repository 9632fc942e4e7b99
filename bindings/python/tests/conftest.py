"""Servers, clients and a headless browser. The tests run against the installed wheel."""

from __future__ import annotations

import asyncio
import http.cookiejar
import json
import os
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import oauth_core

ROOT = Path(__file__).resolve().parents[3]
CALLBACK = "https://app.example/callback"


@contextmanager
def process(arguments: list[str], folder: Path) -> Iterator[Any]:
    """A server that prints its address in one line of JSON, and stops when its input closes."""
    started = subprocess.Popen(
        arguments,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdin and started.stdout
    try:
        line = next(line for line in started.stdout if line.startswith("{"))
        yield json.loads(line)
    finally:
        started.stdin.close()
        started.stdout.close()
        started.wait(20)


class Twin:
    """A twin, and its control routes."""

    def __init__(self, base: str) -> None:
        self.base = base

    def _control(self, route: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.base}/_twin/{route}", data) as reply:
            return json.load(reply)

    @property
    def data(self) -> dict[str, Any]:
        return dict(self._control("client"))

    @property
    def counters(self) -> dict[str, int]:
        return dict(self._control("counters"))

    @property
    def log(self) -> list[dict[str, Any]]:
        return list(self._control("log"))

    def fault(self, name: str, **values: Any) -> None:
        self._control("fault", {"name": name, **values})

    def expire(self) -> None:
        self._control("expire", {})

    def revoke(self) -> None:
        """Revokes every grant, with all of its tokens."""
        self._control("revoke", {})

    def register(self, redirect_uri: str) -> None:
        self._control("register", {"redirect_uri": redirect_uri})

    def claim(self, name: str, value: Any) -> None:
        """Sets the claims about the user in ID tokens from now on."""
        self._control("claim", {"name": name, "value": value})

    def logout_token(self, flaw: str | None = None) -> str:
        """The logout request that the provider posts if the session of the user, or the one named in ID tokens, ends."""
        return str(self._control("logout_token", {"flaw": flaw})["logout_token"])

    def step_up(self, **required: Any) -> None:
        """Sets the step-up that the API requires: acr_values and max_age, or claims."""
        self._control("step_up", required)

    def withhold_refresh_tokens(self) -> None:
        self._control("withhold_refresh_tokens", {})

    def console_token(self) -> str:
        return str(self._control("console_token", {})["access_token"])

    def rate_limit(self, requests: int, seconds: int) -> None:
        self._control("rate_limit", {"requests": requests, "seconds": seconds})

    def require_dpop(self) -> None:
        """Later tokens are bound to keys, and each proof requires a new nonce."""
        self._control("require_dpop", {})
        self.rotate_nonces("once")

    def rotate_nonces(self, nonces: str | None = None) -> None:
        self._control("dpop_nonces", {"nonces": nonces})

    def forget_client(self, client_id: str) -> None:
        self._control("forget_client", {"client_id": client_id})

    def add_person(self, subject: str) -> None:
        """Adds a user who approves requests with this login_hint."""
        self._control("add_person", {"subject": subject})

    def deny(self) -> None:
        self._control("deny", {})

    def advance(self, seconds: int) -> None:
        self._control("advance", {"seconds": seconds})

    def polling_interval(self, seconds: int) -> None:
        self._control("polling_interval", {"seconds": seconds})

    def backchannel_delivery(self, delivery: str, endpoint: str) -> None:
        self._control("backchannel_delivery", {"delivery": delivery, "endpoint": endpoint})

    def notifications(self) -> list[dict[str, str]]:
        """The notifications that a server would have posted to the client."""
        return list(self._control("notifications", {}))

    def register_assertion_key(self, issuer: str, jwk: dict[str, str]) -> None:
        self._control("register_assertion_key", {"issuer": issuer, "jwk": jwk})

    def accept_client_id_metadata(self) -> None:
        """URLs of metadata documents on this machine are client ids from now on."""
        self._control("accept_client_id_metadata", {})

    def announce_saml_assertion(self, assertion: str) -> None:
        self._control("announce_saml_assertion", {"assertion": assertion})

    def authorization_lifetime(self, seconds: int) -> None:
        self._control("authorization_lifetime", {"seconds": seconds})

    def rename_resource(self) -> None:
        """Only the `resource` `api://echo` is accepted from now on."""
        self._control("rename_resource", {})

    def refuse_resources(self) -> None:
        """Refuses `resource` from now on, as Microsoft Entra does."""
        self._control("refuse_resources", {})

    def sign_resource_metadata(self, claims: dict[str, Any]) -> None:
        self._control("sign_resource_metadata", {"claims": claims})

    def trust_identity_provider(self, issuer: str) -> None:
        with urllib.request.urlopen(f"{issuer}/jwks") as reply:
            self._control("trust_identity_provider", {"issuer": issuer, "jwks": json.load(reply)})

    def vouch_to(self, issuer: str, client_id: str) -> None:
        self._control("vouch_to", {"issuer": issuer, "client_id": client_id})

    def signed_in(self, client: oauth_core.Client) -> oauth_core.Tokens:
        """The tokens of a user who signs in to this client."""
        flow = client.authorize(redirect_uri=CALLBACK, scope="openid read")
        return client.redeem(flow, approve(flow.url))

    def entry(self, path: str) -> dict[str, Any]:
        """The last request to this path, its parameters as dictionaries."""
        entry = next(entry for entry in reversed(self.log) if entry["path"] == path)
        return {**entry, **{key: dict(entry[key]) for key in ("query", "headers", "form")}}

    def client(self, name: str, **options: Any) -> oauth_core.Client:
        """The confidential client, authenticated as the preset documents it."""
        variables = options.pop("variables", {})
        server = oauth_core.provider(name, loopback=self.base, **variables)
        data = self.data
        return oauth_core.Client(
            server, client_id=data["client_id"], client_secret=data["client_secret"], **options
        )


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def approve(url: str) -> str:
    """The URL to which the server redirects a user who approves immediately."""
    try:
        urllib.request.build_opener(NoRedirect).open(url)
    except urllib.error.HTTPError as reply:
        return str(reply.headers["location"])
    raise AssertionError("no redirect")


def browse(url: str) -> None:
    """A headless browser: keeps cookies and follows every redirect."""

    def open_page() -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        try:
            urllib.request.build_opener(jar).open(url).read()
        except urllib.error.URLError:
            pass

    threading.Thread(target=open_page).start()


def expired(tokens: oauth_core.Tokens) -> oauth_core.Tokens:
    """These tokens, as if received in 1970."""
    stored = json.loads(tokens.serialize())
    stored["received_at"] = 0
    return oauth_core.Tokens.deserialize(json.dumps(stored))


def example(name: str) -> list[str]:
    """The command of a server of the test kit."""
    twins = os.environ.get("OAUTH_TWINS")
    if twins:
        return [str(Path(twins).with_name(name))]
    return ["cargo", "run", "--quiet", "-p", "oauth-testkit", "--features", "tls", "--example", name]


@pytest.fixture
def twins() -> Iterator[dict[str, Twin]]:
    with process(example("twins"), ROOT) as bases:
        yield {name: Twin(base) for name, base in bases.items()}


@pytest.fixture
def generic(twins: dict[str, Twin]) -> Twin:
    return twins["generic"]


def generic_client(twin: Twin, *, public: bool = False, timeout: float = 30.0) -> oauth_core.Client:
    server = oauth_core.discover(twin.base, transport="loopback_http")
    data = twin.data
    if public:
        auth: oauth_core.ClientAuth = oauth_core.Public()
        return oauth_core.Client(
            server, client_id=data["public_client_id"], client_auth=auth, timeout=timeout
        )
    auth = oauth_core.ClientSecretBasic(data["client_secret"])
    return oauth_core.Client(server, client_id=data["client_id"], client_auth=auth, timeout=timeout)


@pytest.fixture
def client(generic: Twin) -> oauth_core.Client:
    return generic_client(generic)


@pytest.fixture
def person(generic: Twin) -> tuple[oauth_core.Client, oauth_core.Tokens]:
    """A public client, and a user's tokens with a rotating refresh token."""
    client = generic_client(generic, public=True)
    flow = client.authorize(redirect_uri=CALLBACK, scope="read write offline_access")
    return client, client.redeem(flow, approve(flow.url))


@pytest.fixture(scope="session")
def oidc() -> Iterator[Any]:
    with process(["node", "server.mjs"], ROOT / "tests/interop/oidc-provider") as server_info:
        yield server_info


def django_oauth_toolkit() -> AbstractContextManager[Any]:
    """The server of tests/interop/django-oauth-toolkit, in its own environment."""
    folder = ROOT / "tests/interop/django-oauth-toolkit"
    return process([str(folder / ".venv/bin/python"), "-B", "server.py"], folder)


def mcp_server(sdk: str) -> AbstractContextManager[Any]:
    """A server of the Model Context Protocol, made with the SDK for this language."""
    folder = ROOT / "tests/mcp" / sdk
    if sdk == "python":
        return process([str(folder / ".venv/bin/python"), "-B", "server.py"], folder)
    if sdk == "typescript":
        return process(["node", "server.mjs"], folder)
    command = ["cargo", "run", "--quiet", "-p", "oauth-tests", "--bin", "mcp-server"]
    return process(command, ROOT)


Answer = Callable[[BaseHTTPRequestHandler], None]


class StubServer:
    """A server with configured responses, which records its requests."""

    def __init__(self, answer: Answer) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        plain = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                plain.seen.append((self.command, self.path, headers, body))
                answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        serve = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        serve.start()


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    """The same response to every request."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:
            pass  # the client has seen enough

    return answer


@pytest.fixture
def plain() -> Iterator[Callable[[Answer], StubServer]]:
    started: list[StubServer] = []

    def start(answer: Answer) -> StubServer:
        started.append(StubServer(answer))
        return started[-1]

    yield start
    for server in started:
        server.server.shutdown()
        server.server.server_close()


def server_at(token_base: str) -> oauth_core.Server:
    """A server whose endpoints are all at one base."""
    metadata = {
        "issuer": token_base,
        "authorization_endpoint": f"{token_base}/authorize",
        "token_endpoint": f"{token_base}/token",
        "revocation_endpoint": f"{token_base}/revoke",
        "introspection_endpoint": f"{token_base}/introspect",
    }
    return oauth_core.Server.from_metadata(token_base, metadata, transport="loopback_http")


@pytest.fixture(params=["blocking", "asyncio"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls an operation of a client by its name: itself, or its coroutine."""

    def blocking(client: oauth_core.Client, name: str, **arguments: Any) -> Any:
        return getattr(client, name)(**arguments)

    def in_a_loop(client: oauth_core.Client, name: str, **arguments: Any) -> Any:
        async def ask() -> Any:
            return await getattr(client, f"a{name}")(**arguments)

        return asyncio.run(ask())

    return blocking if request.param == "blocking" else in_a_loop


@pytest.fixture
def fast_polling(generic: Twin) -> Twin:
    """The generic twin, with a polling interval of one second."""
    generic.polling_interval(1)
    return generic
