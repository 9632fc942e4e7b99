"""Tokens in pickles, for anyone who asks for them by name.

A pickle goes where nobody looks for secrets: into the queue of a task runner, into caches and core
dumps. So ``Tokens`` refuse to be pickled. Where every pickle is kept as secrets are, such as between
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
