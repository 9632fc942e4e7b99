"""The plug-in for aiohttp 3.12 and newer: a client middleware.

    aiohttp.ClientSession(middlewares=[oauth_core.aiohttp.Auth(source, origins=[...])])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

import aiohttp
import aiohttp.payload

from ._plugin import Attacher

if TYPE_CHECKING:
    from ._native import Tokens, TokenSource

__all__ = ["Auth"]


class Auth(Attacher):
    """Attaches the source's token, and renews it once after a 401.

    A request to any other origin than those given (by default the preset's) is refused before it
    is sent; so is a redirect to one, for aiohttp asks its middlewares about each. A body that
    streams cannot be sent twice: its 401 is handed back, and the token is forgotten.
    """

    def __init__(self, source: TokenSource, *, origins: Sequence[str] | None = None) -> None:
        super().__init__(source, origins)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        tokens = await self.source.atoken()
        body = await _body(request)
        self._attach(request, tokens, body)
        response = await handler(request)
        if not self.may_be_about_the_token(response.status):
            return response
        if not self.wants_renewal(response.status, response.headers.items()):
            return response
        if body is None:
            self.source.invalidate(tokens)
            return response
        response.release()
        renewed = await self.source.arenew(tokens)
        del request.headers["Authorization"]
        self._attach(request, renewed, body)
        return await handler(request)

    def _attach(self, request: aiohttp.ClientRequest, tokens: Tokens, body: bytes | None) -> None:
        request.headers["Authorization"] = self.header(
            tokens, str(request.url), request.headers.items(), body
        )


async def _body(request: aiohttp.ClientRequest) -> bytes | None:
    """The body, if it is at hand and so can be sent twice."""
    body = request.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, aiohttp.payload.BytesPayload):
        return await body.as_bytes()
    return None
