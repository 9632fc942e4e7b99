"""Stores for the records of grants, shared by threads, tasks, processes and machines.

``FileStore`` and ``SqliteStore`` are for the processes of one machine, ``RedisStore`` and
``PostgresStore`` for several machines, ``MemoryStore`` for the threads of one process.
``SealedStore`` encrypts the records of any store, with a ``SealingKey`` or with keys of a ``KeySource``.

A store has three methods, each atomic with respect to other workers. Write your own for any storage that
your workers share; it is called on threads that may block, so it may be as slow as a
database, and must be safe to call from several threads. Records are secret. If a method raises,
it is unknown whether it took effect.
"""

from __future__ import annotations

from typing import Awaitable, Optional, Protocol, Union

from ._native import FileStore, SealingKey, MemoryStore, PostgresStore, RedisStore, SealedStore, SqliteStore

__all__ = [
    "FileStore",
    "SealingKey",
    "KeySource",
    "MemoryStore",
    "PostgresStore",
    "RedisStore",
    "SealedStore",
    "SqliteStore",
    "Store",
]


_Key = Union[bytes, str, SealingKey]
_DataKey = tuple[str, _Key]


class Store(Protocol):
    """The protocol of stores: ``store=`` accepts any object with these methods. None of them may be a coroutine."""

    def load(self, key: str, /) -> tuple[int, str] | None:
        """The version and the text of the record; None if it does not exist."""

    def save(self, key: str, record: str, version: int, /) -> int | None:
        """Saves the record if it is still at ``version`` (0: there is none), otherwise returns None.

        Returns the new version, which is higher than any that this key ever had. The record must be
        durable by then.

        A parameter ``until`` gets the time when the record expires, if it does: a datetime in UTC. From then
        on the record does not exist, and the store may delete it. Without the parameter, the store keeps sessions that
        were never signed out.
        """

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        """Acquires the lease for ``holder`` for this many seconds, unless another holder has it.

        0 seconds releases it. Returns the seconds until another holder's lease ends, or None. A lease
        expires after its time; it can exist before the record.
        """


class KeySource(Protocol):
    """The holder of the keys that ``SealedStore`` seals with, such as a key management service.

    The id of a key is stored in every record that is sealed with it, so it can be the wrapped data key
    itself: then nothing has to be stored elsewhere. Results are cached in memory:
    each id is requested once, the key to seal with once a day, with one call for all waiting callers. An
    unknown id is not requested again for a minute.

    Both are called on threads that may block, and may be coroutine functions: each coroutine runs in its own event
    loop. If they raise, or do not return within 30 seconds, the error is ``lost.unsent``: nothing was written, and the
    record is unchanged.
    """

    def data_key(self) -> Union[_DataKey, Awaitable[_DataKey]]:
        """The id (1 to 2048 visible characters of ASCII) and the key to seal with from now on."""
        ...

    def unwrap_key(self, id: str, /) -> Union[Optional[_Key], Awaitable[Optional[_Key]]]:
        """The key of this id; None if it does not exist, or is permanently refused.

        The id comes from the store, where others may have written it.
        """
