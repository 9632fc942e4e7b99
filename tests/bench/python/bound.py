"""What a cached token that is bound to a key costs a request of httpx more than a cached bearer token (RFC 9449).

Beside it, the bare signature of the proof, made in the same place: in a request, what a signature reads is no longer
in the caches, and it takes twice as long as one after the other. The transport answers at once.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from harness import OURS, measure_cpu, print_figure, run_in_turns, medians, medians_over

import oauth_core
import oauth_core.httpx

API = "https://api.example"
URLS = [f"{API}/v1/items/{n}?page={n * 7}&per_page=50" for n in range(200)]
RAW = "cryptography, the signature alone, in a request"
HOT = "the same, one after the other"
BEARER = "a bearer token"
ROUNDS = 41


class TokenEndpoint(BaseHTTPRequestHandler):
    """Gives whoever shows a proof a token that is bound."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        kind = "DPoP" if self.headers.get("dpop") else "Bearer"
        body = json.dumps({"access_token": "2YotnFZFEjr1zCsicMWpAA", "token_type": kind, "expires_in": 3600}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Signing(oauth_core.httpx.Auth):
    """Attaches the token that it has, and a signature of nothing."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        KEY.sign(INPUT, HASH)
        yield from super().sync_auth_flow(request)


def attached(
    base: str, auth: type[oauth_core.httpx.Auth] = oauth_core.httpx.Auth, **options: Any
) -> tuple[httpx.Client, list[httpx.Headers]]:
    """A client of the API, and what it sent first."""
    metadata = {"issuer": base, "token_endpoint": f"{base}/token"}
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    secret = oauth_core.ClientSecretPost("s3cr3t")
    source = oauth_core.Client(server, client_id="c", client_auth=secret, **options).client_credentials()
    events: list[httpx.Headers] = []

    def respond(request: httpx.Request) -> httpx.Response:
        if not events:
            events.append(request.headers)
        return httpx.Response(200, headers={"content-length": "2"}, content=b"{}")

    return httpx.Client(auth=auth(source, origins=[API]), transport=httpx.MockTransport(respond)), events


def requests(client: httpx.Client) -> Callable[[int], float]:
    return lambda _: measure_cpu(lambda: [client.get(url) for url in URLS]) / len(URLS) * 1e6


def signatures(_: int) -> float:
    return measure_cpu(lambda: [KEY.sign(INPUT, HASH) for _ in URLS]) / len(URLS) * 1e6


KEY = ec.generate_private_key(ec.SECP256R1())
HASH = ec.ECDSA(hashes.SHA256())
#: As long as what a proof signs.
INPUT = b"x" * 520


def main() -> None:
    server = HTTPServer(("127.0.0.1", 0), TokenEndpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    bound, bound_headers = attached(base, dpop_key=oauth_core.DpopKey.generate())
    plain, plain_headers = attached(base)
    signing, _ = attached(base, Signing)
    sides = {OURS: requests(bound), RAW: requests(signing), BEARER: requests(plain), HOT: signatures}
    for run in sides.values():
        run(0)
    assert bound_headers[0]["authorization"].startswith("DPoP ") and bound_headers[0]["dpop"].count(".") == 2
    assert plain_headers[0]["authorization"].startswith("Bearer ") and "dpop" not in plain_headers[0]
    results = run_in_turns(sides, rounds=ROUNDS)
    added = medians_over({name: results[name] for name in (OURS, RAW, BEARER)}, BEARER)
    what = "Python: attach a cached token that is bound to a key, httpx, ES256"
    taken = {**added, HOT: medians(results)[HOT]}
    print_figure(what, "us CPU more than a bearer token", taken, budget=added[RAW])
    server.shutdown()


main()
