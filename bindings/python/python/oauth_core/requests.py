"""The plug-in for requests.

    requests.get(url, auth=oauth_core.requests.Auth(source, origins=["https://api.example"]))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

import requests
import requests.auth
import requests.cookies

from ._plugin import Attacher

if TYPE_CHECKING:
    from ._native import Tokens, TokenSource

__all__ = ["Auth"]


class Auth(Attacher, requests.auth.AuthBase):
    """Attaches the source's token, and renews it once after a 401.

    A request to any other origin than those given (by default the preset's) is refused before it
    is sent. A redirect to another origin is followed without the token. A body that streams cannot
    be sent twice: its 401 is handed back, and the token is forgotten.
    """

    def __init__(self, source: TokenSource, *, origins: Sequence[str] | None = None) -> None:
        super().__init__(source, origins)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        tokens = self.source.token()
        sent = self._attach(r, tokens)

        def renew_once(response: requests.Response, **options: Any) -> requests.Response:
            request = response.request
            if not self.may_be_about_the_token(response.status_code):
                return response
            # requests takes the header off when it follows a redirect to another host.
            is_ours = request.headers.get("Authorization") == sent
            if not is_ours or not self.wants_renewal(
                response.status_code, response.headers.items()
            ):
                return response
            if not _is_at_hand(request):
                self.source.invalidate(tokens)
                return response
            return self._again(response, tokens, options)

        _untyped(r).register_hook("response", renew_once)
        return r

    def _again(
        self, response: requests.Response, dead: Tokens, options: dict[str, Any]
    ) -> requests.Response:
        response.content  # noqa: B018  read to its end, so that the connection can be used again
        response.close()
        request = response.request.copy()
        untyped = _untyped(request)
        cookies = _untyped(requests.cookies)
        cookies.extract_cookies_to_jar(untyped._cookies, response.request, response.raw)
        untyped.prepare_cookies(untyped._cookies)
        del request.headers["Authorization"]
        self._attach(request, self.source.renew(dead))
        second: requests.Response = _untyped(response).connection.send(request, **options)
        second.history.append(response)
        second.request = request
        return second

    def _attach(self, request: requests.PreparedRequest, tokens: Tokens) -> str:
        body = request.body.encode() if isinstance(request.body, str) else request.body
        body = body if isinstance(body, bytes) else None
        header = self.header(tokens, request.url or "", request.headers.items(), body)
        request.headers["Authorization"] = header
        return header


def _is_at_hand(request: requests.PreparedRequest) -> bool:
    body: Any = request.body  # a stream too, whatever the stubs say
    return body is None or isinstance(body, (str, bytes))


def _untyped(thing: Any) -> Any:
    """What requests has and its stubs lack."""
    return thing
