"""The plug-in for aiohttp 3.12 and newer: a client middleware.

    aiohttp.ClientSession(middlewares=[oauth_core.aiohttp.Auth(source, origins=[...])])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

import aiohttp
import aiohttp.payload

from ._plugin import Attacher

if TYPE_CHECKING:
    from ._native import Api
    from .protocols import TokenSource

__all__ = ["Auth"]


class Auth(Attacher):
    """Attaches the source's token, and renews it once after a 401.

    A request to any other origin than those given (by default the preset's) is refused before it
    is sent; so is a redirect to one, for aiohttp asks its middlewares about each. A body that
    streams cannot be sent twice: its 401 is handed back, and the token is forgotten.
    """

    def __init__(self, source: TokenSource | Api, *, origins: Sequence[str] | None = None) -> None:
        super().__init__(source, origins)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        body = await _body(request)
        loop = self.loop(request.method, str(request.url), request.headers.items(), body)
        task = next(loop)
        response: aiohttp.ClientResponse | None = None
        while True:
            try:
                if task[0] == "send":
                    if response is not None:
                        response.release()
                    request.headers["Authorization"] = task[1]
                    response = await handler(request)
                    task = loop.send((response.status, response.headers.items()))
                else:
                    task = loop.send(await self.aperform(task))
            except StopIteration:
                if response is None:
                    raise RuntimeError("nothing was sent") from None
                return response
            except BaseException:
                if response is not None:
                    response.release()
                raise


async def _body(request: aiohttp.ClientRequest) -> bytes | None:
    """The body, if it is at hand and so can be sent twice."""
    body = request.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, aiohttp.payload.BytesPayload):
        return await body.as_bytes()
    return None
