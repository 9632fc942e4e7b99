"""Reads the body of a reply over any HTTP client, limited in size even if it is compressed.

A few kilobytes of a compressed reply can expand to gigabytes. Clients such as httpx unpack a piece
as it arrives, whole, before anyone can count what comes out; so pieces are taken as they are on the
wire, and unpacked here.

The body of a request is each plug-in's: one that is a stream, and can be sent only once, is reported to the core as
``once`` (``_begin`` in ``_plugin.py``).
"""

from __future__ import annotations

import zlib
from typing import Any

__all__ = ["IDENTITY", "Body"]

LIMIT = 1 << 20
"""The largest body, in bytes; with one byte more, the exchange reports it as too large."""

IDENTITY = ("accept-encoding", "identity")
"""Requests an uncompressed reply. Some servers compress all the same."""

_PACKED = ("gzip", "x-gzip", "deflate")

# 15 bits of window, and 32: a header of gzip or of zlib.
_EITHER = 15 + 32


class Body:
    """Collects the pieces of the body of one reply, decompressed."""

    def __init__(self, reply: Any) -> None:
        coding = reply.headers.get("content-encoding", "").strip().lower()
        # The body of a response created by a test is complete and uncompressed.
        self.is_unpacked = bool(reply.is_stream_consumed)
        self._whole = bytearray()
        self._unpack: Any = None
        self._is_empty = True
        if self.is_unpacked or coding in ("", "identity"):
            return
        if coding not in _PACKED:
            shown = "".join(c for c in coding[:40] if c.isascii() and c.isprintable())
            raise ValueError(f"the reply is compressed, which was not asked for: {shown}")
        self._unpack = zlib.decompressobj(_EITHER)

    def takes(self, chunk: bytes) -> bool:
        """Adds a piece. Returns whether another one is needed."""
        self._is_empty = self._is_empty and not chunk
        if self._unpack is None:
            self._whole += chunk[: self._room()]
        elif not self._unpack.eof:
            self._whole += self._unpack.decompress(chunk, self._room())
        return len(self._whole) <= LIMIT

    def _room(self) -> int:
        # Never 0, which zlib treats as no limit: reading stops after one byte beyond the limit.
        return LIMIT + 1 - len(self._whole)

    def bytes(self) -> bytes:
        """The whole body, or one byte more than the limit."""
        is_open = self._unpack is not None and not self._unpack.eof
        if is_open and not self._is_empty and len(self._whole) <= LIMIT:
            raise EOFError("the compressed reply is cut short")
        return bytes(self._whole)
