"""The plug-in for requests.

    requests.get(url, auth=oauth_core.requests.Auth(source, origins=["https://api.example"]))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

import requests
import requests.auth
import requests.cookies

from ._plugin import Attacher, Loop

if TYPE_CHECKING:
    from ._native import Api
    from .protocols import TokenSource

__all__ = ["Auth"]


class Auth(Attacher, requests.auth.AuthBase):
    """Attaches the token, renews it once after a 401, and waits for limits if the Api says so.

    A request to any other origin than those given (by default the preset's) is refused before it
    is sent. A redirect to another origin is followed without the token. A body that streams cannot
    be sent twice: its 401 is handed back, and the token is forgotten.
    """

    def __init__(self, source: TokenSource | Api, *, origins: Sequence[str] | None = None) -> None:
        super().__init__(source, origins)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        loop = self.loop(r.method or "GET", r.url or "", r.headers.items(), _body(r))
        sent = self._until_sent(loop, next(loop))
        if sent is None:
            return r
        r.headers["Authorization"] = sent

        def repeat(response: requests.Response, **options: Any) -> requests.Response:
            nonlocal sent
            while True:
                request = response.request
                # requests takes the header off when it follows a redirect to another host.
                if request.headers.get("Authorization") != sent:
                    return response
                try:
                    task = loop.send((response.status_code, response.headers.items()))
                except StopIteration:
                    return response
                except BaseException:
                    response.close()
                    raise
                sent = self._until_sent(loop, task)
                if sent is None:
                    return response
                response = _again(response, sent, options)

        _untyped(r).register_hook("response", repeat)
        return r

    def _until_sent(self, loop: Loop, task: Any) -> str | None:
        """The header of the next attempt; nothing if the reply is the caller's."""
        try:
            while task[0] != "send":
                task = loop.send(self.perform(task))
        except StopIteration:
            return None
        header: str = task[1]
        return header


def _again(
    response: requests.Response, header: str, options: dict[str, Any]
) -> requests.Response:
    response.content  # noqa: B018  read to its end, so that the connection can be used again
    response.close()
    request = response.request.copy()
    untyped = _untyped(request)
    cookies = _untyped(requests.cookies)
    cookies.extract_cookies_to_jar(untyped._cookies, response.request, response.raw)
    untyped.prepare_cookies(untyped._cookies)
    request.headers["Authorization"] = header
    second: requests.Response = _untyped(response).connection.send(request, **options)
    second.history.append(response)
    second.request = request
    return second


def _body(request: requests.PreparedRequest) -> bytes | None:
    """The body, if it is at hand and so can be sent twice."""
    body: Any = request.body  # a stream too, whatever the stubs say
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else None


def _untyped(thing: Any) -> Any:
    """What requests has and its stubs lack."""
    return thing
