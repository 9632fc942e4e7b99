"""Extends a lease repeatedly while a request runs, so that the lease can be short.

Failed extensions are ignored: a lost lease leads at most to a harmless second request, and new tokens are
stored by version.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from ._native import Keeper
    from .stores import Store


def extended(keeper: Keeper, store: Store | None) -> AbstractContextManager[object]:
    """Extends the lease of a renewal, if it holds one, in its own thread."""
    return _Extended(keeper, store)


class _Extended:
    def __init__(self, keeper: Keeper, store: Store | None) -> None:
        import threading

        self.keeper, self.store = keeper, store
        self.is_done = threading.Event()

    def __enter__(self) -> object:
        import threading

        extension = self.keeper.lease_extension
        if extension is not None and self.store is not None:
            work = threading.Thread(
                target=self._extend, args=(self.store, *extension), name="oauth-core lease"
            )
            work.daemon = True
            work.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_done.set()

    def _extend(self, store: Store, holder: str, seconds: float, every: float) -> None:
        key = self.keeper.key
        while not self.is_done.wait(every):
            try:
                held = store.lease(key, holder, seconds)
            except Exception:  # the next try may reach the store
                continue
            if held is not None and held > 0:
                return
