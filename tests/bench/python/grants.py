"""500 client_credentials grants over loopback, 50 at a time.

`grants.py SIDE BASE ID SECRET` is one process that does so, and says what it took. Importing and
making the client are not counted, opening the connections is.
"""

from __future__ import annotations

import asyncio
import collections
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from harness import OURS, SCOPES, medians, print_figure, require_same_results, run_in_turns, run_script, twin
from ours import our_client

GRANTS = 500
AT_ONCE = 50
FLOOR = "aiohttp, plainest code"
SIDES = [OURS, FLOOR, "Authlib, async"]

Grant = Callable[[str], Awaitable[str]]


async def fifty_at_once(grant: Grant) -> dict[str, float]:
    async def worker(first: int) -> list[str]:
        return [await grant(SCOPES[n % len(SCOPES)]) for n in range(first, GRANTS, AT_ONCE)]

    wall, cpu = time.perf_counter(), time.process_time()
    tokens = await asyncio.gather(*(worker(first) for first in range(AT_ONCE)))
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    assert len({token for some in tokens for token in some}) == GRANTS
    return took


async def ours(base: str, client_id: str, secret: str) -> dict[str, float]:
    client = our_client(base, client_id, secret)

    async def grant(scope: str) -> str:
        return str((await client.client_credentials(scope=scope).atoken()).access_token)

    return await fifty_at_once(grant)


async def floor(base: str, client_id: str, secret: str) -> dict[str, float]:
    import aiohttp

    connections = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connections) as session:

        async def grant(scope: str) -> str:
            form = {
                "grant_type": "client_credentials",
                "scope": scope,
                "client_id": client_id,
                "client_secret": secret,
            }
            async with session.post(f"{base}/token", data=form) as reply:
                return str((await reply.json())["access_token"])

        return await fifty_at_once(grant)


async def authlib(base: str, client_id: str, secret: str) -> dict[str, float]:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

    client: Any = AsyncOAuth2Client(
        client_id, secret, token_endpoint_auth_method="client_secret_post"
    )
    async with client:

        async def grant(scope: str) -> str:
            token = await client.fetch_token(
                f"{base}/token", grant_type="client_credentials", scope=scope
            )
            return str(token["access_token"])

        return await fifty_at_once(grant)


RUNS = dict(zip(SIDES, (ours, floor, authlib)))


def main() -> None:
    with twin() as server:
        arguments = (server.base, server.data["client_id"], server.data["client_secret"])

        def run(side: str) -> Callable[[int], dict[str, float]]:
            return lambda _: dict(run_script("grants.py", side, *arguments))

        results = run_in_turns({side: run(side) for side in SIDES}, rounds=7)
        check(server.control("log"))
    name = f"Python: {GRANTS} client_credentials grants, {AT_ONCE} at once"

    def millis(quantity: str) -> dict[str, float]:
        return medians({side: [run[quantity] * 1e3 for run in runs] for side, runs in results.items()})

    print_figure(name, "ms CPU of the client", millis("cpu"), budget=85, pace=(FLOOR, 83))
    print_figure(name, "ms wall", millis("wall"))


def check(log: list[dict[str, Any]]) -> None:
    """Every side's first 500 requests: the same forms, each as often, and nothing in a header.

    The log shows no secret, but the twin has checked it: it has said 200.
    """
    results = {}
    for place, side in enumerate(SIDES):
        library_requests = log[place * GRANTS : (place + 1) * GRANTS]
        assert {entry["status"] for entry in library_requests} == {200}
        forms = collections.Counter(json.dumps(sorted(entry["form"])) for entry in library_requests)
        heads = {name.lower() for entry in library_requests for name, _ in entry["headers"]}
        results[side] = (forms, "authorization" in heads)
    require_same_results("client_credentials", results)


if len(sys.argv) > 1:
    side, *rest = sys.argv[1:]
    print(json.dumps(asyncio.run(RUNS[side](*rest))))
else:
    main()
