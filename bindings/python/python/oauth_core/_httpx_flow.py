"""The authentication flow of httpx and of httpx2, which imports neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncGenerator, Generator, Sequence

from ._plugin import Attacher

if TYPE_CHECKING:
    from ._native import Api, Call
    from ._source import TokenSource


class Flow(Attacher):
    """Yields the request as often as it has to be sent, with its token on it."""

    def __init__(
        self, source: TokenSource | Api, *, origins: Sequence[str] | None = None
    ) -> None:
        super().__init__(source, origins)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        call = self._call(request)
        name, value = self._act(call, call.begin())
        while name == "send":
            request.headers["authorization"] = value
            response = yield request
            if not _is_ours(response, value):
                return
            step = call.reply(response.status_code, response.headers.raw)
            name, value = self._act(call, step)

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        call = self._call(request)
        name, value = await self._aact(call, call.begin())
        while name == "send":
            request.headers["authorization"] = value
            response = yield request
            if not _is_ours(response, value):
                return
            step = call.reply(response.status_code, response.headers.raw)
            name, value = await self._aact(call, step)

    def _call(self, request: Any) -> Call:
        body = _body(request)
        headers = request.headers.raw
        return self._begin(request.method, str(request.url), headers, body, body is None)


def _is_ours(response: Any, sent: str) -> bool:
    """The reply may be to a redirect, from which httpx takes the header if it leaves the origin."""
    return bool(response.request.headers.get("authorization") == sent)


def _body(request: Any) -> bytes | None:
    """The body, if it is at hand and so can be sent twice."""
    try:
        content: bytes = request.content
    except Exception as error:
        # Neither of the two is imported here, so their exception is known by its name.
        if type(error).__name__ != "RequestNotRead":
            raise
        return None
    return content
