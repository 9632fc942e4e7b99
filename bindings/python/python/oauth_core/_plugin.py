"""What the plug-ins share: the loop around one request, and who asks the sources."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generator, Iterable, Literal, Sequence, Union

from ._native import Api

if TYPE_CHECKING:
    from ._native import ApiCall, Tokens
    from .protocols import TokenSource

__all__ = ["Attacher"]

Fields = Iterable["tuple[Union[str, bytes], Union[str, bytes]]"]

#: What a plug-in does next: put a header on the request and send it, or one of the two below.
Send = tuple[Literal["send"], str]
#: Wait so many seconds.
Wait = tuple[Literal["wait"], float]
#: Ask this source, for another token than these if there are any.
Ask = tuple[Literal["ask"], Any, Any]
#: Send is answered with the reply's status and headers, Ask with tokens, Wait with nothing.
Loop = Generator[Union[Send, Wait, Ask], Any, None]


class Attacher:
    """An API, and the loop around each request to it."""

    def __init__(self, source: TokenSource | Api, origins: Sequence[str] | None) -> None:
        if isinstance(source, Api):
            if origins is not None:
                raise TypeError("an Api has its origins already")
            self.api = source
        else:
            self.api = Api(source, origins=None if origins is None else list(origins))

    def loop(self, method: str, url: str, headers: Fields, body: bytes | None) -> Loop:
        """One request with all its repetitions; without a body at hand there are none."""
        call = self.api._call(method, url, headers, body)
        return _loop(self.api, call)

    def perform(self, task: Wait | Ask) -> Tokens | None:
        """Does what is asked besides sending."""
        if task[0] == "wait":
            self._show(task[1])
            time.sleep(task[1])
            return None
        _, source, refused = task
        tokens: Tokens = source.token() if refused is None else source.renew(refused)
        return tokens

    async def aperform(self, task: Wait | Ask) -> Tokens | None:
        """perform(), in a coroutine."""
        if task[0] == "wait":
            import asyncio

            self._show(task[1])
            await asyncio.sleep(task[1])
            return None
        _, source, refused = task
        if not (hasattr(source, "atoken") and hasattr(source, "arenew")):
            import asyncio

            return await asyncio.to_thread(self.perform, task)
        answer = source.atoken() if refused is None else source.arenew(refused)
        tokens: Tokens = await answer
        return tokens

    def _show(self, seconds: float) -> None:
        if self.api.on_wait is not None:
            self.api.on_wait(seconds)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} of {self.api!r}>"


def _loop(api: Api, call: ApiCall) -> Loop:
    step, value = call.begin()
    source: Any = None
    tokens: Any = None
    while True:
        if step == "wait":
            yield ("wait", value)
            step, value = call.elapsed()
        elif step == "token" or step == "renew":
            source = api._source(value)
            tokens = yield ("ask", source, tokens if step == "renew" else None)
            step, value = call.token(tokens)
        elif step == "send":
            status, headers = yield ("send", value)
            step, value = call.reply(status, headers)
        else:
            if step == "done_refused":
                source.invalidate(tokens)
            return
