"""``Body``: reads the body of a response, with a size limit that also holds if it is compressed.

A few compressed kilobytes can expand to gigabytes. Clients such as httpx decompress each received chunk
completely before its size can be checked; so the raw chunks are read and decompressed
here.
"""

from __future__ import annotations

import zlib
from typing import Any

__all__ = ["IDENTITY", "Body"]

MAX_BODY_BYTES = 1 << 20
"""The largest body, in bytes; with one byte more, the exchange reports it as too large."""

IDENTITY = ("accept-encoding", "identity")
"""Requests an uncompressed response. Some servers compress nevertheless."""

_SUPPORTED_CODINGS = ("gzip", "x-gzip", "deflate")

# wbits of zlib: a window of 15 bits, and 32 to detect a header of gzip or zlib.
_GZIP_OR_ZLIB = 15 + 32


class Body:
    """Collects the decompressed body of one response."""

    def __init__(self, reply: Any) -> None:
        coding = reply.headers.get("content-encoding", "").strip().lower()
        # The body of a response created by a test is complete and uncompressed.
        self.is_unpacked = bool(reply.is_stream_consumed)
        self._buffer = bytearray()
        self._unpack: Any = None
        self._is_empty = True
        if self.is_unpacked or coding in ("", "identity"):
            return
        if coding not in _SUPPORTED_CODINGS:
            printable = "".join(c for c in coding[:40] if c.isascii() and c.isprintable())
            raise ValueError(f"the response is compressed, which was not requested: {printable}")
        self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB)

    def add(self, chunk: bytes) -> bool:
        """Adds a chunk. Returns whether the limit has not been exceeded."""
        self._is_empty = self._is_empty and not chunk
        if self._unpack is None:
            self._buffer += chunk[: self._room()]
        elif not self._unpack.eof:
            self._buffer += self._unpack.decompress(chunk, self._room())
        return len(self._buffer) <= MAX_BODY_BYTES

    def _room(self) -> int:
        # Never 0, which zlib treats as no limit: reading stops after one byte beyond the limit.
        return MAX_BODY_BYTES + 1 - len(self._buffer)

    def bytes(self) -> bytes:
        """The whole body; one byte more than the limit if it is larger."""
        is_open = self._unpack is not None and not self._unpack.eof
        if is_open and not self._is_empty and len(self._buffer) <= MAX_BODY_BYTES:
            raise EOFError("the compressed response is truncated")
        return bytes(self._buffer)
