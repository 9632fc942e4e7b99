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
    from ._source import TokenSource

__all__ = ["Auth"]


class Auth(Attacher):
    """Attaches the source's token, and renews it once after a 401.

    A request to any origin other than those given (by default the preset's) is refused before it
    is sent; so is a redirect to one, because aiohttp calls its middlewares for each request. A streaming
    body cannot be sent twice: its 401 is returned, and the token is discarded.
    """

    def __init__(
        self, source: TokenSource | Api, *, origins: Sequence[str] | None = None
    ) -> None:
        super().__init__(source, origins)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        body = await _body(request)
        headers = request.headers.items()
        call = self._begin(request.method, str(request.url), headers, body, body is None)
        _, value = await self._arun_steps(call, call.begin())
        while True:
            if value is not None:  # Otherwise the API requires no authorization.
                request.headers["Authorization"] = value
            proof = call.proof
            if proof is not None:
                request.headers["DPoP"] = proof
            response = await handler(request)
            try:
                step = call.reply(response.status, response.headers.items())
                if step[0] == "peek":
                    is_short = self._is_short(response.headers, step[1])
                    step = call.body(await response.read() if is_short else b"")
            except BaseException:
                response.release()
                raise
            if step[0] == "done":
                return response
            if step[0] != "refused":
                response.release()
            name, value = await self._arun_steps(call, step)
            if name != "send":
                return response


async def _body(request: aiohttp.ClientRequest) -> bytes | None:
    """The body, if it is in memory and so can be sent twice."""
    body = request.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, aiohttp.payload.BytesPayload):
        return await body.as_bytes()
    return None
