"""Stores for the records of grants, shared by threads, tasks, processes and machines.

``FileStore`` and ``SqliteStore`` are for the processes of one machine, ``RedisStore`` and
``PostgresStore`` for machines that share a server, ``MemoryStore`` for the threads of one process.
``SealedStore`` encrypts what any store keeps, with a ``SealingKey`` or with keys of a ``KeySource``.

A store has three methods, each atomic with respect to other workers. Write one for anything that
your workers share; it is called on threads that may block, so it may be as slow as a
database, and must be safe to call from several threads. What it stores is secret. If a method raises,
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

        A method with a parameter ``until`` gets in it when the record expires, if it does: a datetime in UTC. From then
        on the record does not exist, and the store may delete it. Without it the store keeps sessions that were never
        signed out.
        """

    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        """Grants ``holder`` the lease for this long, unless another holds it.

        0 seconds releases it. Returns for how many seconds another still holds it, or None. A lease
        expires after its time; there may be one before there is a record.
        """


class KeySource(Protocol):
    """The holder of the keys that ``SealedStore`` seals with, such as a key management service.

    The id of a key is stored in every record that is sealed with it, so it can be the data key itself as
    wrapped by the service: then nothing need be kept anywhere else. Answers are kept in memory:
    an id is asked for once, the key to seal with once a day, with one call for all that wait. An
    id that is unknown is not asked for again for a minute.

    Both are called on threads that may block, and may be coroutine functions: each coroutine runs in its own event
    loop. What they raise, or no answer within 30 seconds, is ``lost.unsent``: then nothing was written, and the record
    is unchanged.
    """

    def data_key(self) -> Union[_DataKey, Awaitable[_DataKey]]:
        """The id (1 to 2048 visible characters of ASCII) and the key to seal with from now on."""
        ...

    def unwrap_key(self, id: str, /) -> Union[Optional[_Key], Awaitable[Optional[_Key]]]:
        """The key of this id; None if it does not exist, or is permanently refused.

        The id comes from the store, where others may have written it.
        """
