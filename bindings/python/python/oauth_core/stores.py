"""Where the record of a grant lives, for every thread, task, process and machine that shares it.

``FileStore`` and ``SqliteStore`` are for the processes of one machine, ``RedisStore`` and
``PostgresStore`` for machines that share a server, ``Memory`` for the threads of one process.
``Sealed`` encrypts what any store keeps.

A store has three methods, each one step that no other worker can come between. Write one for
whatever your workers share; it is called on threads that may block, so it may be as slow as a
database, and must be safe to call from several threads. What it stores is a secret. A method that
raises says that nobody knows whether it was done.
"""

from __future__ import annotations

from typing import Protocol

from ._native import FileStore, Memory, PostgresStore, RedisStore, Sealed, SqliteStore

__all__ = [
    "FileStore",
    "Memory",
    "PostgresStore",
    "RedisStore",
    "Sealed",
    "SqliteStore",
    "Store",
]


class Store(Protocol):
    """What ``store=`` takes: any object with these methods. None of them may be a coroutine."""

    def load(self, key: str, /) -> tuple[int, str] | None:
        """The version of the record and the record, as it was saved last; None if there is none."""

    def save(self, key: str, record: str, version: int, /) -> int | None:
        """Saves the record if it is still at ``version`` (0: there is none), else gives None.

        Gives the new version, which is higher than any that this key ever had. The record must have
        reached the store by then.
        """

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        """Takes the lease in the name of ``holder`` for so long, unless another holds it.

        0 seconds gives it back. Gives for how many seconds another still holds it, or None. A lease
        ends by itself after its time; there may be one where there is no record yet.
        """
