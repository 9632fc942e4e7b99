"""The base class of the plug-ins for HTTP clients: carries out the steps that the core decides for a request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Iterable, Sequence, Union

from ._lists import listed
from ._native import Api
from .errors import MisuseError

if TYPE_CHECKING:
    from ._native import Call, Tokens
    from ._source import TokenSource

__all__ = ["Attacher"]

Fields = Iterable["tuple[Union[str, bytes], Union[str, bytes]]"]


class Attacher:
    """Base class of the plug-ins: attaches a source's tokens to the requests to one API."""

    def __init__(self, source: TokenSource | Api, origins: Sequence[str] | None) -> None:
        self.source = source
        if not isinstance(source, Api):
            source = Api(source, origins=None if origins is None else listed("origins", origins))
        elif origins is not None:
            raise TypeError("origins cannot be given with an Api, which has its own")
        self._api = source

    def _begin(
        self, method: str, url: str, headers: Fields, body: bytes | None, streams_once: bool
    ) -> Call:
        return self._api.call(method, url, headers, body, streams_once)

    @staticmethod
    def _is_short(headers: Any, limit: int) -> bool:
        """Whether a body may be read before its caller does: its ``Content-Length`` is within the limit."""
        length = headers.get("content-length", "")
        return bool(length.isdecimal()) and int(length) <= limit

    def _run_steps(self, call: Call, step: tuple[str, Any]) -> tuple[str, Any]:
        """Carries out waits and requests for tokens, until a request is to be sent or the call ends."""
        while True:
            name, value = step
            if name == "wait":
                self._api.waits(value)
                time.sleep(value)
                step = call.elapsed()
            elif name in ("token", "renew"):
                refused = _refused_tokens(name, value, call)
                try:
                    tokens = value.token() if refused is None else value.renew(refused)
                except MisuseError as error:
                    _check_open(error)
                    step = call.unprotected()
                else:
                    step = call.token(tokens)
            elif name == "step_up":
                value.step_up(call.tokens, call.required_step_up)
                step = call.step_up_done()
            elif name == "sign":
                step = call.signed(value.signature())
            elif name == "refused":
                value.invalidate(call.tokens)
                return step
            else:
                return step

    async def _arun_steps(self, call: Call, step: tuple[str, Any]) -> tuple[str, Any]:
        """_run_steps(), in a coroutine."""
        import asyncio

        while True:
            name, value = step
            if name == "wait":
                self._api.waits(value)
                await asyncio.sleep(value)
                step = call.elapsed()
            elif name in ("token", "renew"):
                refused = _refused_tokens(name, value, call)
                try:
                    if refused is None:
                        tokens = await _await_method(value, "token")
                    else:
                        tokens = await _await_method(value, "renew", refused)
                except MisuseError as error:
                    _check_open(error)
                    step = call.unprotected()
                else:
                    step = call.token(tokens)
            elif name == "step_up":
                await value.astep_up(call.tokens, call.required_step_up)
                step = call.step_up_done()
            elif name == "sign":
                # A key service may be slow, so it is called in a thread.
                step = call.signed(await asyncio.to_thread(value.signature))
            elif name == "refused":
                value.invalidate(call.tokens)
                return step
            else:
                return step

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} of {self.source!r}>"


def _refused_tokens(name: str, source: Any, call: Call) -> Tokens | None:
    """The refused tokens that must be replaced, if any."""
    if name == "renew" and call.tokens is None:
        # A request without a token was refused: the API has begun to require authorization.
        source.invalidate(None)
    return call.tokens if name == "renew" else None


def _check_open(error: MisuseError) -> None:
    """Re-raises the error, unless it means that the API requires no authorization."""
    if error.code != "connect.not_protected":
        raise error


async def _await_method(source: Any, name: str, *arguments: Any) -> Tokens:
    """Calls the coroutine method if there is one, and otherwise the blocking method in a thread."""
    import asyncio

    later = getattr(source, "a" + name, None)
    if later is None:
        tokens: Tokens = await asyncio.to_thread(getattr(source, name), *arguments)
    else:
        tokens = await later(*arguments)
    return tokens
