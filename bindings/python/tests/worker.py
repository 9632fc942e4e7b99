"""One worker of several that share a grant: a process of its own, with threads."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Union

import oauth_core
from oauth_core import stores

THREADS = 8


# The key of sealed stores.
KEY = bytes(range(32))

Ours = Union[
    stores.FileStore,
    stores.PostgresStore,
    stores.RedisStore,
    stores.SealedStore,
    stores.SqliteStore,
]


def make_store(kind: str, place: str) -> Ours:
    if kind == "sealed":
        return stores.SealedStore(stores.FileStore(place), KEY)
    if kind == "sqlite":
        return stores.SqliteStore(place)
    if kind == "postgres":
        return stores.PostgresStore(place)
    return stores.FileStore(place) if kind == "file" else stores.RedisStore(place)


def client_of(config: dict[str, Any]) -> oauth_core.Client:
    server = oauth_core.Server.from_metadata(
        config["metadata"]["issuer"], config["metadata"], transport="loopback_http"
    )
    # The server's request log shows which worker sent a request.
    headers = {"x-worker": str(os.getpid())}
    # A lease lasts longer than two requests, and the others wait that long for a killed worker.
    return oauth_core.Client(
        server, client_id=config["client_id"], client_auth=oauth_core.Public(), headers=headers, timeout=3
    )


def source_of(config: dict[str, Any]) -> oauth_core.GrantSource:
    store = make_store(*config["store"])
    return client_of(config).source(store=store, subject="ann", lease=config["lease"])


def run_worker(config: dict[str, Any], source: oauth_core.GrantSource | None = None) -> None:
    """Waits for the other workers, requests a token in each thread, and writes their hashes to a file."""
    source = source_of(config) if source is None else source
    folder = Path(config["folder"])
    (folder / f"ready-{os.getpid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.001)
    with ThreadPoolExecutor(THREADS) as pool:
        pending = [pool.submit(source.token) for _ in range(THREADS)]
        access_tokens = {thread.result().access_token for thread in pending}
    digests = [hashlib.sha256(token.encode()).hexdigest() for token in access_tokens]
    (folder / f"said-{os.getpid()}").write_text(json.dumps(digests))


if __name__ == "__main__":
    run_worker(json.loads(sys.argv[1]))
