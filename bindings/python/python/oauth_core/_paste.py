"""Prompts for the callback URL of a login whose browser runs on another machine."""

from __future__ import annotations

from ._arguments import finished
from .errors import MisuseError

# `typing` and `threading` cost more to import than the package itself.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Event
    from types import TracebackType
    from typing import Callable

    from ._native import Listener, PendingAuthorization

    Paste = Callable[[], str]

# The interval at which a reader of standard input checks whether the login has ended, in seconds.
_CHECK_INTERVAL = 0.1

# The longest line that is read, in bytes; URLs are shorter.
_MAX_LINE = 1 << 16


class prompting_for_callback:
    """Prompts in its own thread until a pasted URL belongs to the login, or the block ends."""

    __slots__ = ("_flow", "_has_ended", "_listener", "_paste")

    def __init__(self, listener: Listener, flow: PendingAuthorization, paste: Paste | None) -> None:
        import threading

        self._listener, self._flow, self._paste = listener, flow, paste
        self._has_ended = threading.Event()

    def __enter__(self) -> None:
        if self._paste is None:
            return
        import threading

        prompt = _reader(self._paste, self._has_ended)
        arguments = (self._listener, self._flow, prompt, self._has_ended)
        threading.Thread(target=_prompt, args=arguments, name="oauth-core paste", daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()


def _prompt(listener: Listener, flow: PendingAuthorization, paste: Paste, has_ended: Event) -> None:
    while not has_ended.is_set():
        try:
            text = paste()
            finished("paste", text)
            if listener.paste(flow, text):
                return
        except EOFError:
            return  # standard input is closed, or the login has ended
        except MisuseError:
            return  # the flow has been redeemed: the browser returned meanwhile


def _reader(paste: Paste, has_ended: Event) -> Paste:
    """The function that prompts. Instead of ``input``, one that can be stopped: a thread inside ``input`` takes the next
    line of a program that goes on, and holds the lock of standard input, which aborts an interpreter that exits."""
    import sys

    stdin = sys.stdin
    # There is none in a program without a console.
    if paste is not input or stdin is not sys.__stdin__ or stdin is None:
        return paste
    encoding = stdin.encoding
    try:
        descriptor = stdin.fileno()
    except (OSError, ValueError):
        return paste
    return lambda: _read_line(descriptor, has_ended, encoding)


def _read_line(descriptor: int, has_ended: Event, encoding: str) -> str:
    """Reads a line, byte by byte, so that none of the next one is taken.

    Raises ``EOFError`` at the end of the input, or of the login.
    """
    import os

    line = bytearray()
    while len(line) < _MAX_LINE:
        _wait_for_input(descriptor, has_ended)
        byte = os.read(descriptor, 1)
        if byte == b"\n" or (not byte and line):
            break
        if not byte:
            if os.isatty(descriptor):
                raise EOFError
            return input()  # what an earlier call of it has read ahead
        line += byte
    return line.decode(encoding, "replace").rstrip("\r")


def _wait_for_input(descriptor: int, has_ended: Event) -> None:
    import os

    if os.name == "nt":
        return  # select is for sockets there; reading without a buffer holds no lock of the interpreter
    import select

    while not has_ended.is_set():
        if select.select([descriptor], [], [], _CHECK_INTERVAL)[0] and not has_ended.is_set():
            return
    raise EOFError
