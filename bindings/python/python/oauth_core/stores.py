"""Stores for the records of grants, shared by threads, tasks, processes and machines.

``FileStore`` and ``SqliteStore`` are for the processes of one machine, ``RedisStore`` and
``PostgresStore`` for machines that share a server, ``Memory`` for the threads of one process.
``Sealed`` encrypts what any store keeps, with a ``Key`` or with keys of a ``KeySource``.

A store has three methods, each one step that no other worker can come between. Write one for
whatever your workers share; it is called on threads that may block, so it may be as slow as a
database, and must be safe to call from several threads. What it stores is a secret. A method that
raises says that nobody knows whether it was done.
"""

from __future__ import annotations

from typing import Awaitable, Optional, Protocol, Union

from ._native import FileStore, Key, Memory, PostgresStore, RedisStore, Sealed, SqliteStore

__all__ = [
    "FileStore",
    "Key",
    "KeySource",
    "Memory",
    "PostgresStore",
    "RedisStore",
    "Sealed",
    "SqliteStore",
    "Store",
]


_Key = Union[bytes, str, Key]
_DataKey = tuple[str, _Key]


class Store(Protocol):
    """What ``store=`` takes: any object with these methods. None of them may be a coroutine."""

    def load(self, key: str, /) -> tuple[int, str] | None:
        """The version of the record and the record, as it was saved last; None if there is none."""

    def save(self, key: str, record: str, version: int, /) -> int | None:
        """Saves the record if it is still at ``version`` (0: there is none), else gives None.

        Gives the new version, which is higher than any that this key ever had. The record must have
        reached the store by then.

        A method with a parameter ``until`` is told by that name when the record ends, if it does: a
        datetime in UTC. From then on there is none, and the store may delete it. Without it the store
        keeps sessions that nobody signs out of.
        """

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        """Takes the lease in the name of ``holder`` for so long, unless another holds it.

        0 seconds gives it back. Gives for how many seconds another still holds it, or None. A lease
        ends by itself after its time; there may be one where there is no record yet.
        """


class KeySource(Protocol):
    """Who holds the keys that ``Sealed`` seals with, such as a key management service.

    The id of a key stands in every record that is sealed with it, so it can be the data key itself as
    the service has wrapped it: then nothing need be kept anywhere else. What is answered is kept in
    memory: an id is asked for once, the key to seal with once a day, by one call for all who wait. An
    id that is unknown is not asked for again for a minute.

    Both are called on threads that may block, and may be coroutine functions: each coroutine runs in an
    event loop of its own. What they raise, or 30 seconds of silence, is ``lost.unsent``: nothing was
    written then, and the record stays as it is.
    """

    def data_key(self) -> Union[_DataKey, Awaitable[_DataKey]]:
        """The id (1 to 2048 visible characters of ASCII) and the key to seal with from now on."""
        ...

    def unwrap_key(self, id: str, /) -> Union[Optional[_Key], Awaitable[Optional[_Key]]]:
        """The key of this id; None if there is no such, or it is refused for good.

        The id comes from the store, where others may have written it.
        """
