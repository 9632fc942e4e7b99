"""The authentication flow of the plug-ins for httpx and httpx2; imports neither."""

from __future__ import annotations

from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncGenerator,
    ClassVar,
    Generator,
    ItemsView,
    Iterable,
    KeysView,
    Mapping,
    Sequence,
    ValuesView,
)

from ._plugin import Attacher

if TYPE_CHECKING:
    from ._native import Api, Call
    from ._source import TokenSource


# The most redirects that a request follows, with a token for each.
_MAX_HOPS = 10


class UncopiedHeaders:
    """A mixin for the library's headers: ``held`` fields, by lower-case names, are sent but not copied.

    A client that follows redirects copies the headers before an ``Auth`` sees the response, and would
    send one owner's token to a different owner's route, or the DPoP proof of one URL to a different URL.
    """

    held: Mapping[str, str] = MappingProxyType({})

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        raw_fields: list[tuple[bytes, bytes]] = getattr(super(), "raw")  # noqa: B009
        other_fields = [field for field in raw_fields if field[0].lower().decode("latin-1") not in self.held]
        return [*other_fields, *((name.encode(), value.encode()) for name, value in self.held.items())]

    def __getitem__(self, key: str) -> str:
        value = self.held.get(key.lower())
        if value is None:
            value = getattr(super(), "__getitem__")(key)  # noqa: B009
        return value

    def __contains__(self, key: object) -> bool:
        is_held = isinstance(key, str) and key.lower() in self.held
        return is_held or bool(getattr(super(), "__contains__")(key))  # noqa: B009

    def multi_items(self) -> list[tuple[str, str]]:
        items: list[tuple[str, str]] = getattr(super(), "multi_items")()  # noqa: B009
        return [*(field for field in items if field[0] not in self.held), *self.held.items()]

    # Transports, hooks and logs see the held fields; only copies lack them.

    def _all_items(self) -> dict[str, str]:
        items: Iterable[tuple[str, str]] = getattr(super(), "items")()  # noqa: B009
        return {**dict(items), **self.held}

    def items(self) -> ItemsView[str, str]:
        return self._all_items().items()

    def keys(self) -> KeysView[str]:
        return self._all_items().keys()

    def values(self) -> ValuesView[str]:
        return self._all_items().values()


class Flow(Attacher):
    """Yields the request each time it has to be sent, with its token attached."""

    _headers: ClassVar[Any]

    def __init__(
        self, source: TokenSource | Api, *, origins: Sequence[str] | None = None
    ) -> None:
        super().__init__(source, origins)

    # Usually the token is cached and the first response is final: the common case makes no further calls.

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        call, hops = self._call(request), 0
        step, payload = call.begin()
        if step != "send":
            step, payload = self._run_steps(call, (step, payload))
        while step == "send":
            self._attach(call, request, payload)
            response = yield request
            if response.request is request or _carries_token(call, payload, response):
                step, payload = call.reply(response.status_code, response.headers.raw)
                if step == "peek":
                    is_short = self._is_short(response.headers, payload)
                    step, payload = call.body(response.read() if is_short else b"")
                if step == "done":
                    return
            elif hops == _MAX_HOPS or self._is_final(call, request, response):
                return
            else:
                hops += 1
                request = _without_copied_fields(response.request)
                call = self._call(request)
                step, payload = call.begin()
            step, payload = self._run_steps(call, (step, payload))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        call, hops = self._call(request), 0
        step, payload = call.begin()
        if step != "send":
            step, payload = await self._arun_steps(call, (step, payload))
        while step == "send":
            self._attach(call, request, payload)
            response = yield request
            if response.request is request or _carries_token(call, payload, response):
                step, payload = call.reply(response.status_code, response.headers.raw)
                if step == "peek":
                    is_short = self._is_short(response.headers, payload)
                    step, payload = call.body(await response.aread() if is_short else b"")
                if step == "done":
                    return
            elif hops == _MAX_HOPS or self._is_final(call, request, response):
                return
            else:
                hops += 1
                request = _without_copied_fields(response.request)
                call = self._call(request)
                step, payload = call.begin()
            step, payload = await self._arun_steps(call, (step, payload))

    def _call(self, request: Any) -> Call:
        try:
            body: bytes | None = request.content
        except Exception as error:
            # Neither httpx nor httpx2 is imported here, so their exception is recognized by name. A
            # streaming body cannot be sent twice.
            if type(error).__name__ != "RequestNotRead":
                raise
            body = None
        return self._api.call(request.method, str(request.url), request.headers.raw, body, body is None)

    def _attach(self, call: Call, request: Any, value: str | None) -> None:
        if value is None:
            return  # The API requires no authorization.
        held = {}
        proof = call.proof
        if proof is not None:
            held["dpop"] = proof
        if call.owner == "any":
            request.headers["authorization"] = value
        else:
            held["authorization"] = value
        if held:
            headers = self._headers(request.headers)
            headers.held = held
            request.headers = headers

    def _is_final(self, call: Call, sent: Any, response: Any) -> bool:
        """Whether the response to a redirect that httpx itself has followed is final.

        If routes have owners, httpx has followed without the token: a request to a route of the same owner has to be
        sent again with the token. A DPoP-bound token was copied without its proof: the request has to be sent again
        with a proof for this URL.
        """
        last = response.request
        requests = (*(before.request for before in response.history), last)
        if any(_origin(request) != _origin(sent) for request in requests):
            return True
        if call.owner == "any":
            return call.proof is None or response.status_code != 401
        # Reports the URL to the core, which refuses routes of a different token owner.
        call.reply(302, [(b"location", str(last.url).encode())])
        return bool(response.is_success and last.method not in ("GET", "HEAD", "OPTIONS"))


def _carries_token(call: Call, value: str | None, response: Any) -> bool:
    """Whether the response is to the redirected request with its token, and with a proof if one is needed."""
    has_token = response.request.headers.get("authorization") == value
    return bool(has_token and (call.proof is None or response.status_code != 401))


def _without_copied_fields(request: Any) -> Any:
    """The request without the header fields copied from the one before the redirect."""
    for name in ("authorization", "dpop"):
        request.headers.pop(name, None)
    return request


def _origin(request: Any) -> tuple[Any, ...]:
    url = request.url
    return (url.scheme, url.host, url.port)

