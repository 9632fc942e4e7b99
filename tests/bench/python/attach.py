"""What a cached token costs a request of httpx2 and of httpx, over a header that never changes.

The transport answers at once, so nothing but the library's own work is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from harness import OURS, require_same_results, measure_cpu, print_figure, run_in_turns, medians_over, twin
from ours import our_client

import oauth_core.httpx
import oauth_core.httpx2

API = "https://api.example"
STATIC = "static header"
#: A page of a list, as an application asks for it; no two are alike.
URLS = [f"{API}/v1/items/{n}?page={n * 7}&per_page=50" for n in range(200)]
ROUNDS = 41


class Ears:
    """A transport that answers at once, and can say what it heard."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.events: list[tuple[str, str, str | None]] = []
        self.is_listening = True

    def __call__(self, request: Any) -> Any:
        if self.is_listening:
            header = request.headers.get("authorization")
            self.events.append((request.method, str(request.url), header))
        headers = {"content-type": "application/json", "content-length": "2"}
        return self.library.Response(200, headers=headers, content=b"{}")

    async def later(self, request: Any) -> Any:
        return self(request)


def clients(library: Any, plugin: Any, source: Any, asynchronous: bool) -> dict[str, Any]:
    """One client for each side, each with ears of its own."""
    make = library.AsyncClient if asynchronous else library.Client
    token = source.token().access_token

    def transport() -> dict[str, Any]:
        ears = Ears(library)
        mock = library.MockTransport(ears.later if asynchronous else ears)
        return {"transport": mock}

    sides = {
        STATIC: make(headers={"authorization": f"Bearer {token}"}, **transport()),
        OURS: make(auth=plugin.Auth(source, origins=[API]), **transport()),
    }
    if library is httpx2:  # the one that Authlib uses
        peer = AsyncOAuth2Client if asynchronous else OAuth2Client
        cached = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        cached["expires_at"] = int(time.time()) + 3600
        sides["Authlib"] = peer("id", "secret", token=cached, **transport())
    return sides


def check(what: str, sides: dict[str, Any]) -> None:
    all_ears = {name: listener_for(client) for name, client in sides.items()}
    require_same_results(what, {name: ears.events for name, ears in all_ears.items()})
    for ears in all_ears.values():
        assert len(ears.events) == len(URLS) and ears.events[0][2]
        ears.is_listening = False


def listener_for(client: Any) -> Ears:
    handler = client._transport.handler
    ears: Ears = getattr(handler, "__self__", handler)
    return ears


def sync(client: Any) -> Callable[[int], float]:
    def run(_: int = 0) -> float:
        return measure_cpu(lambda: [client.get(url) for url in URLS]) / len(URLS)

    return run


def print_results(name: str, results: dict[str, list[float]], authlib: float | None) -> None:
    micros = {side: seconds * 1e6 for side, seconds in medians_over(results, STATIC).items()}
    what, unit = f"Python: attach a cached token, {name}", "us CPU more than a static header"
    print_figure(what, unit, micros, budget=5, pace=("Authlib", authlib) if authlib else None)


async def in_turns_async(sides: dict[str, Callable[[], Awaitable[None]]]) -> dict[str, list[float]]:
    results: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(ROUNDS + 1):
        for name, run in sides.items():
            start = time.process_time()
            await run()
            if turn > 0:
                results[name].append((time.process_time() - start) / len(URLS))
    return results


async def asynchronous(library: Any, plugin: Any, source: Any) -> dict[str, list[float]]:
    sides = clients(library, plugin, source, True)

    def requests(client: Any) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            for url in URLS:
                await client.get(url)

        return run

    runs = {name: requests(client) for name, client in sides.items()}
    for run in runs.values():
        await run()
    check(library.__name__, sides)
    return await in_turns_async(runs)


def parts(source: Any) -> dict[str, Any]:
    """Where ours goes with httpx2: each of these does what the one before does, and more."""
    resource, token = source.resource([API]), source.token()

    def client(header: Callable[[Any], str]) -> Any:
        class Auth(httpx2.Auth):
            def sync_auth_flow(self, request: Any) -> Any:
                request.headers["authorization"] = header(request)
                yield request

        ears = Ears(httpx2)
        ears.is_listening = False
        return httpx2.Client(auth=Auth(), transport=httpx2.MockTransport(ears))

    def checked(request: Any, url: str, fields: Any) -> str:
        return str(resource.authorization(token, url, fields, request.content))

    fixed = f"Bearer {token.access_token}"
    plain = Ears(httpx2)
    plain.is_listening = False
    transport = httpx2.MockTransport(plain)
    return {
        STATIC: httpx2.Client(headers={"authorization": fixed}, transport=transport),
        "setting a header": client(lambda _: fixed),
        "and the check": client(lambda request: checked(request, URLS[0], ())),
        "and httpx's URL as text": client(lambda request: checked(request, str(request.url), ())),
        "and its list of headers": client(
            lambda request: checked(request, str(request.url), request.headers.raw)
        ),
        OURS: httpx2.Client(auth=oauth_core.httpx2.Auth(source, origins=[API]), transport=transport),
    }


def main() -> None:
    with twin() as server:
        client = our_client(server.base, server.data["client_id"], server.data["client_secret"])
        source = client.client_credentials(scope="read")
        for library, plugin in ((httpx2, oauth_core.httpx2), (httpx, oauth_core.httpx)):
            name = library.__name__
            sides = clients(library, plugin, source, False)
            runs = {side: sync(client) for side, client in sides.items()}
            for run in runs.values():
                run()
            check(name, sides)
            is_peers = library is httpx2
            print_results(f"{name}, sync", run_in_turns(runs, rounds=ROUNDS), 35 if is_peers else None)
            taken = asyncio.run(asynchronous(library, plugin, source))
            print_results(f"{name}, async", taken, 56 if is_peers else None)
        inside = {side: sync(client) for side, client in parts(source).items()}
        costs = medians_over(run_in_turns(inside, rounds=ROUNDS), STATIC)
        micros = {side: seconds * 1e6 for side, seconds in costs.items()}
        what = "Python: attach with httpx2, from the inside out"
        print_figure(what, "us CPU more than a static header", micros)


main()
