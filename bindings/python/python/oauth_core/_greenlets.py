"""gevent: greenlets share a thread, so one that waits must let the others run.

What gevent has patched, such as sockets, belongs to the thread whose greenlet has made it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

# The hub whose greenlets have waited last.
_home: Any = None


def hub() -> Any:
    """The hub of this thread's greenlets, while one of them runs; otherwise None."""
    global _home
    # Without gevent it has not been imported.
    local: Any = sys.modules.get("gevent._hub_local")
    found = local and local.get_hub_if_exists()
    if not found:
        return None
    # The hub itself may not wait.
    gevent: Any = sys.modules["gevent"]
    if gevent.getcurrent() is found:
        return None
    _home = found
    return found


def call(work: Callable[[], None]) -> None:
    """Calls this; in another thread than that of the greenlets that have waited, it is a greenlet there that does."""
    local: Any = sys.modules.get("gevent._hub_local")
    if _home is None or _home.loop is None or local.get_hub_if_exists() is _home:
        return work()
    monkey: Any = sys.modules["gevent.monkey"]
    gevent: Any = sys.modules["gevent"]
    # A lock for threads, not for greenlets.
    over = monkey.get_original("_thread", "allocate_lock")()
    over.acquire()

    def run() -> None:
        try:
            work()
        finally:
            over.release()

    _home.loop.run_callback_threadsafe(gevent.spawn, run)
    over.acquire()


class Waiting:
    """A greenlet that waits for another thread."""

    def __init__(self, found: Any) -> None:
        event: Any = sys.modules["gevent.event"]
        self._over = event.Event()
        self._watcher = found.loop.async_()
        self._watcher.start(self._over.set)

    def tell(self) -> None:
        """Called in another thread; the greenlet may have given up."""
        watcher = self._watcher
        if watcher is not None:
            watcher.send()

    def wait(self) -> None:
        """Waits until it is told. A greenlet that is killed, or out of time, gets its exception here."""
        try:
            self._over.wait()
        finally:
            watcher, self._watcher = self._watcher, None
            watcher.stop()
            watcher.close()
