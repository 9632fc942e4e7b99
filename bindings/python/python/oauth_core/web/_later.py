"""A provider whose metadata are fetched when somebody first needs them: the application starts without it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Callable, Optional

from .._client import Client
from .._configured import made
from .._native import ClientSettings, Provider, Public, Reply, Server, discover

__all__ = ["Later", "awaited", "waited"]

PAUSE = 5.0
"""For how many seconds after a failure nobody asks again; meanwhile all are told of it."""

TIMEOUT = 10.0
"""For how many seconds a provider may be silent, unless a network says otherwise: sign-ins wait, other pages do not."""


if TYPE_CHECKING:
    Outcome = Future[Optional[BaseException]]
else:
    Outcome = Future


class Later:
    """A provider that is not known yet, and what stands in for it: good for whoever does not sign in or out."""

    def __init__(
        self, settings: ClientSettings, issuer: str, line: dict[str, Any], asked: dict[str, Any]
    ) -> None:
        self._settings = settings
        self._issuer = issuer
        self._line = line
        self._asked = asked
        self._lock = threading.Lock()
        self._fetch: tuple[int, Outcome] | None = None
        self._pause_until = 0.0
        self._take: Callable[[Provider], None] = lambda _: None
        self.is_known = False
        self.now: Callable[[], float] = time.monotonic
        self._door = f"{issuer.rstrip('/')}/not-known-yet"
        metadata = {"issuer": issuer, "authorization_endpoint": self._door, "token_endpoint": self._door}
        server = Server.from_metadata(issuer, metadata, transport=line.get("transport", "https"))
        client_id, _, _ = settings.arguments()
        self.stand_in = Provider(Client(server, client_id=client_id, client_auth=Public()), **asked)

    def on_known(self, take: Callable[[Provider], None]) -> None:
        """Has ``take(provider)`` called once the provider is known, before anybody goes on."""
        self._take = take

    def leads_to(self, reply: Reply) -> bool:
        """Whether a reply of the stand-in's sends somebody to the provider: it is not to be sent."""
        return any(name == "location" and value.startswith(self._door) for name, value in reply.headers)

    def fetched(self) -> Outcome:
        """Asks the provider, unless somebody does: one fetch for all who wait, and another some time after a failure."""
        with self._lock:
            if self._fetch is not None:
                process, future = self._fetch
                # A child of the process has none of its threads.
                if process == os.getpid() and not self._is_over(future):
                    return future
            future = Outcome()
            # Whoever stops waiting stops nobody else's.
            future.set_running_or_notify_cancel()
            self._fetch = (os.getpid(), future)
        threading.Thread(target=self._find, args=(future,), name="oauth_core metadata", daemon=True).start()
        return future

    def _is_over(self, future: Outcome) -> bool:
        return future.done() and future.result() is not None and self.now() >= self._pause_until

    def _find(self, future: Outcome) -> None:
        line = {name: value for name, value in self._line.items() if value is not None}
        if "network" not in line:
            line["timeout"] = TIMEOUT
        try:
            server = discover(self._issuer, **line)
            options = {"network": line["network"]} if "network" in line else {}
            provider = Provider(made(Client, self._settings, server, options), **self._asked)
            self._take(provider)
        except BaseException as error:
            self._pause_until = self.now() + PAUSE
            return future.set_result(error)
        self.is_known = True
        future.set_result(None)


def waited(future: Outcome) -> BaseException | None:
    """What it failed with, once that is known; None where the provider is known now."""
    return future.result()


async def awaited(future: Outcome) -> BaseException | None:
    """waited(), in a coroutine."""
    return await asyncio.wrap_future(future)
