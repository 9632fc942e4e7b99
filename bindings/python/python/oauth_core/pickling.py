"""Tokens in pickles, for programs that explicitly allow them.

Pickles end up in places that are not protected like secrets: the queue of a task runner, caches and core
dumps. So ``Tokens`` refuse to be pickled. If every pickle is protected like a secret, such as between
the processes of one ``multiprocessing`` pool, call ``allow()`` in each of them. ``copy.deepcopy`` needs
none of this.
"""

from __future__ import annotations

from ._native import Tokens, allow_pickling

__all__ = ["allow"]


def allow() -> None:
    """Lets ``Tokens`` be pickled in this process, from now on."""
    allow_pickling()


def _rebuild(text: str) -> Tokens:  # pyright: ignore[reportUnusedFunction] - by pickles
    return Tokens.deserialize(text)
