"""A source of one token, which somebody made by hand."""

from __future__ import annotations

from ._native import Api, Resource, Server, Tokens, read_fixed

# Neither typing nor asyncio is imported before somebody needs it: they take longer than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from datetime import datetime
    from typing import Any, Callable, Sequence, Union

    from ._native import Response

__all__ = ["FixedToken", "fixed_token"]


class FixedToken:
    """One token that somebody made by hand; see fixed_token()."""

    def __init__(
        self,
        read: Callable[[Tokens | None], Tokens],
        place: tuple[Server | None, Sequence[str]],
    ) -> None:
        self._read = read
        server, origins = place
        # What an Api of this source is for, unless it says otherwise.
        self._api_place = (server, list(origins))
        self._api = Api(self)

    def token(self) -> Tokens:
        """The token that is there now.

        Raises ``grant.expired`` once it is over, ``token.unreadable`` if it cannot be read.
        """
        return self._read(None)

    async def atoken(self) -> Tokens:
        """token(), in a coroutine."""
        return await _in_a_thread(self._read, None)

    def renew(self, tokens: Tokens, /) -> Tokens:
        """Another token than this one, if another stands there by now; else ``grant.revoked``."""
        return self._read(tokens)

    async def arenew(self, tokens: Tokens, /) -> Tokens:
        """renew(), in a coroutine."""
        return await _in_a_thread(self._read, tokens)

    def invalidate(self, tokens: Tokens, /) -> None:
        """Forgets nothing: what stands there is asked about again."""

    def resource(self, origins: Sequence[str] | None = None) -> Resource:
        """Where the token may be sent."""
        server, own = self._api_place
        return Resource(own if origins is None else list(origins), server)

    def api(self, **options: Any) -> Api:
        """The API that this token is for, with limits of its own choice; see Api."""
        return Api(self, **options)

    def request(self, method: str, url: str, **options: Any) -> Response:
        """Sends a request with the token; the keywords are those of Api.request."""
        return self._api.request(method, url, **options)

    async def arequest(self, method: str, url: str, **options: Any) -> Response:
        """request(), in a coroutine."""
        return await self._api.arequest(method, url, **options)

    def get(self, url: str, **options: Any) -> Response:
        """request("GET", url)."""
        return self._api.get(url, **options)

    async def aget(self, url: str, **options: Any) -> Response:
        """get(), in a coroutine."""
        return await self._api.aget(url, **options)

    def __repr__(self) -> str:
        return "<oauth_core.FixedToken>"


def fixed_token(
    token: str | None = None,
    *,
    env: str | None = None,
    file: Union[str, os.PathLike[str], None] = None,
    callback: Callable[[], str] | None = None,
    origins: Sequence[str] | Server,
    expires_at: datetime | float | None = None,
) -> FixedToken:
    """A source of one token that no grant brought, such as one that was made in a console.

    The token is a text, or stands in an environment variable or a file, or is what ``callback``
    returns; those three are read anew each time, so it may be replaced under a running process. It
    goes to these origins and no others; those of a preset, if a server is given. Nothing renews it: a
    401 ends the request with ``grant.revoked`` (advice ``reauthorize``: make another), unless another
    token stands there by then, which is tried once. With ``expires_at`` (a datetime, or seconds since
    1970) ``grant.expired`` is raised from then on, and nothing sent.
    """
    places = [place for place in (token, env, file, callback) if place is not None]
    if len(places) != 1:
        raise TypeError("give a token, env, file or callback, and one of them only")
    end = expires_at if expires_at is None or isinstance(expires_at, float) else _seconds(expires_at)
    path = None if file is None else str(file)

    def read(refused: Tokens | None) -> Tokens:
        text = callback() if callback is not None else token
        return read_fixed(token=text, env=env, file=path, expires_at=end, refused=refused)

    if isinstance(origins, Server):
        return FixedToken(read, (origins, origins.api_origins))
    return FixedToken(read, (None, origins))


async def _in_a_thread(read: Callable[[Tokens | None], Tokens], refused: Tokens | None) -> Tokens:
    import asyncio

    return await asyncio.to_thread(read, refused)


def _seconds(time: Any) -> float:
    return float(time.timestamp() if hasattr(time, "timestamp") else time)
