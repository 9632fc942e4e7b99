"""gevent: greenlets share a thread, so one that waits must let the others run.

What gevent has patched, such as sockets, belongs to the thread whose greenlet has made it.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

# How long a call waits for a greenlet, in seconds.
CALL_TIMEOUT = 60

# The hub whose greenlets have waited last.
_waiting_hub: Any = None


def hub() -> Any:
    """The hub of this thread's greenlets, while one of them runs; otherwise None."""
    global _waiting_hub
    # Without gevent it has not been imported.
    local: Any = sys.modules.get("gevent._hub_local")
    current_hub = local and local.get_hub_if_exists()
    if not current_hub:
        return None
    # The hub itself must not wait.
    gevent: Any = sys.modules["gevent"]
    if gevent.getcurrent() is current_hub:
        return None
    # The threads of gevent's pool have hubs of their own, which run only while somebody waits there.
    if _waiting_hub is None or _waiting_hub.loop is None or current_hub.loop.default:
        _waiting_hub = current_hub
    return current_hub


def call(work: Callable[[], None]) -> None:
    """Calls work: in a new greenlet of the hub that last waited, or directly if this is its thread or there is none."""
    local: Any = sys.modules.get("gevent._hub_local")
    if _waiting_hub is None or _waiting_hub.loop is None or local.get_hub_if_exists() is _waiting_hub:
        return work()
    gevent: Any = importlib.import_module("gevent")
    monkey: Any = importlib.import_module("gevent.monkey")
    # A lock for threads, not for greenlets.
    until_done = monkey.get_original("_thread", "allocate_lock")()
    until_done.acquire()

    def run() -> None:
        try:
            work()
        finally:
            until_done.release()

    _waiting_hub.loop.run_callback_threadsafe(gevent.spawn, run)
    if not until_done.acquire(timeout=CALL_TIMEOUT):
        raise TimeoutError("the greenlets of the application did not run")


class Waiting:
    """A greenlet that waits for another thread."""

    def __init__(self, current_hub: Any) -> None:
        event: Any = importlib.import_module("gevent.event")
        self._result_arrived = event.Event()
        self._watcher: Any = current_hub.loop.async_()
        self._watcher.start(self._result_arrived.set)

    def notify(self) -> None:
        """Ends the wait; called in another thread. The greenlet may have given up."""
        watcher = self._watcher
        if watcher is not None:
            watcher.send()

    def wait(self) -> None:
        """Waits for the result. A greenlet that is killed, or has timed out, gets its exception here."""
        try:
            self._result_arrived.wait()
        finally:
            watcher, self._watcher = self._watcher, None
            watcher.stop()
            watcher.close()
