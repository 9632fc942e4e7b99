"""The authentication flow of httpx and of httpx2, which imports neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncGenerator, Generator, Sequence

from ._plugin import Attacher

if TYPE_CHECKING:
    from ._native import Tokens, TokenSource


class Flow(Attacher):
    """Asks for a token, yields the request, and once more if the token was dead."""

    def __init__(self, source: TokenSource, *, origins: Sequence[str] | None = None) -> None:
        super().__init__(source, origins)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        tokens = self.source.token()
        sent = self._attach(request, tokens)
        response = yield request
        if self._is_dead(response, sent, tokens, request):
            self._attach(request, self.source.renew(tokens))
            yield request

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        tokens = await self.source.atoken()
        sent = self._attach(request, tokens)
        response = yield request
        if self._is_dead(response, sent, tokens, request):
            self._attach(request, await self.source.arenew(tokens))
            yield request

    def _attach(self, request: Any, tokens: Tokens) -> str:
        header = self.header(tokens, str(request.url), request.headers.raw, _body(request))
        request.headers["authorization"] = header
        return header

    def _is_dead(self, response: Any, sent: str, tokens: Tokens, request: Any) -> bool:
        """Whether to try once more with another token; the header is off the request then."""
        if not self.may_be_about_the_token(response.status_code):
            return False
        # The reply may be to a redirect, from which httpx takes the header if it leaves the origin.
        is_ours = response.request.headers.get("authorization") == sent
        if not is_ours or not self.wants_renewal(response.status_code, response.headers.raw):
            return False
        if _body(request) is None:
            self.source.invalidate(tokens)
            return False
        del request.headers["authorization"]
        return True


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
