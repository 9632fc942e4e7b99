"""An authorization URL with state and PKCE, fresh randomness each."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from harness import OURS, SCOPES, require_same_results, measure_cpu, print_figure, run_in_turns, medians
from ours import our_client

BASE = "http://127.0.0.1:1"
CALLBACK = "https://app.example/callback"
FLOOR = "plainest code"
BATCH = 400
#: What is drawn anew for each URL.
DRAWN = {"state", "nonce", "code_challenge"}

Make = Callable[[str], str]


def sides() -> dict[str, Make]:
    client = our_client(BASE, "id", "secret")
    peer = OAuth2Client(
        "id", "secret", redirect_uri=CALLBACK, code_challenge_method="S256"
    )

    def ours(scope: str) -> str:
        return str(client.authorize(redirect_uri=CALLBACK, scope=scope).url)

    def plain(scope: str) -> str:
        verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": "id",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": secrets.token_urlsafe(32),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{BASE}/authorize?{urlencode(query)}"

    def authlib(scope: str) -> str:
        url, _ = peer.create_authorization_url(
            f"{BASE}/authorize", code_verifier=generate_token(48), scope=scope
        )
        return str(url)

    return {OURS: ours, FLOOR: plain, "Authlib": authlib}


def shown(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Where it leads, and what it asks for; of what is drawn, that it is there."""
    parts = urlsplit(url)
    query = [(name, "drawn" if name in DRAWN else value) for name, value in parse_qsl(parts.query)]
    return parts.path, sorted(query)


def main() -> None:
    makers = sides()
    for scope in SCOPES:
        require_same_results(scope, {name: shown(make(scope)) for name, make in makers.items()})

    def batch(make: Make) -> Callable[[int], float]:
        scopes = [SCOPES[n % len(SCOPES)] for n in range(BATCH)]
        return lambda _: measure_cpu(lambda: [make(scope) for scope in scopes]) / BATCH * 1e6

    taken = run_in_turns({name: batch(make) for name, make in makers.items()}, rounds=41)
    title = "Python: authorization URL with state and PKCE"
    print_figure(title, "us CPU", medians(taken), budget=10, pace=(FLOOR, 15.5))


main()
