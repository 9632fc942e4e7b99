"""The authentication flow of httpx and of httpx2, which imports neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncGenerator, Generator, Sequence

from ._plugin import Attacher

if TYPE_CHECKING:
    from ._native import Api
    from .protocols import TokenSource


class Flow(Attacher):
    """Asks for a token, yields the request, and once more if that is what the reply asks for."""

    def __init__(
        self, source: TokenSource | Api, *, origins: Sequence[str] | None = None
    ) -> None:
        super().__init__(source, origins)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        loop = self._loop(request)
        task = next(loop)
        try:
            while True:
                if task[0] == "send":
                    sent = _attach(request, task[1])
                    response = yield request
                    if not _is_ours(response, sent):
                        return
                    task = loop.send((response.status_code, response.headers.raw))
                else:
                    task = loop.send(self.perform(task))
        except StopIteration:
            return

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        loop = self._loop(request)
        task = next(loop)
        try:
            while True:
                if task[0] == "send":
                    sent = _attach(request, task[1])
                    response = yield request
                    if not _is_ours(response, sent):
                        return
                    task = loop.send((response.status_code, response.headers.raw))
                else:
                    task = loop.send(await self.aperform(task))
        except StopIteration:
            return

    def _loop(self, request: Any) -> Any:
        headers = request.headers.raw
        return self.loop(request.method, str(request.url), headers, _body(request))


def _attach(request: Any, header: str) -> str:
    request.headers["authorization"] = header
    return header


def _is_ours(response: Any, sent: str) -> bool:
    """The reply may be to a redirect, from which httpx takes the header if it leaves the origin."""
    is_ours: bool = response.request.headers.get("authorization") == sent
    return is_ours


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
