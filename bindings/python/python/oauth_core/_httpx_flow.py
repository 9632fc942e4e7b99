"""The authentication flow of httpx and of httpx2, which imports neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncGenerator, ClassVar, Generator, Sequence

from ._plugin import Attacher

if TYPE_CHECKING:
    from ._native import Api, Call
    from ._source import TokenSource


class Held:
    """Headers that send an ``Authorization`` which copies of them do not have.

    A client that follows redirects copies the headers before an ``Auth`` sees the reply, and would
    take one owner's token to another owner's route. To be mixed into the library's own class.
    """

    authorization = ""

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        others: list[tuple[bytes, bytes]] = getattr(super(), "raw")  # noqa: B009
        kept = [field for field in others if field[0].lower() != b"authorization"]
        return [*kept, (b"Authorization", self.authorization.encode())]


class Flow(Attacher):
    """Yields the request as often as it has to be sent, with its token on it."""

    _headers: ClassVar[Any]

    def __init__(
        self, source: TokenSource | Api, *, origins: Sequence[str] | None = None
    ) -> None:
        super().__init__(source, origins)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        call = self._call(request)
        name, value = self._act(call, call.begin())
        while name == "send":
            self._attach(request, value)
            response = yield request
            if _is_ours(request, value, response):
                step = call.reply(response.status_code, response.headers.raw)
            elif self._is_over(call, request, response):
                return
            else:
                request = response.request
                call = self._call(request)
                step = call.begin()
            name, value = self._act(call, step)

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        call = self._call(request)
        name, value = await self._aact(call, call.begin())
        while name == "send":
            self._attach(request, value)
            response = yield request
            if _is_ours(request, value, response):
                step = call.reply(response.status_code, response.headers.raw)
            elif self._is_over(call, request, response):
                return
            else:
                request = response.request
                call = self._call(request)
                step = call.begin()
            name, value = await self._aact(call, step)

    def _call(self, request: Any) -> Call:
        body = _body(request)
        headers = request.headers.raw
        return self._begin(request.method, str(request.url), headers, body, body is None)

    def _attach(self, request: Any, value: str) -> None:
        if self._has_owners(request):
            headers = self._headers(request.headers)
            headers.authorization = value
            request.headers = headers
        else:
            request.headers["authorization"] = value

    def _has_owners(self, request: Any) -> bool:
        return self._api.owner(str(request.url)) != "any"

    def _is_over(self, call: Call, sent: Any, response: Any) -> bool:
        """Whether the reply to a redirect, which httpx has followed without the token, is the end.

        Where routes have owners, one that stayed with its owner has to be asked for again, with it.
        """
        led_to = response.request
        passed = (*(before.request for before in response.history), led_to)
        if not self._has_owners(sent) or any(_origin(one) != _origin(sent) for one in passed):
            return True
        # Tells the core where it led, which refuses another owner's route.
        call.reply(302, [(b"location", str(led_to.url).encode())])
        return bool(response.is_success and led_to.method not in ("GET", "HEAD", "OPTIONS"))


def _is_ours(sent: Any, value: str, response: Any) -> bool:
    """Whether the reply is to a request with the token: the one sent, or where it was led."""
    request = response.request
    return request is sent or bool(request.headers.get("authorization") == value)


def _origin(request: Any) -> tuple[Any, ...]:
    url = request.url
    return (url.scheme, url.host, url.port)


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
