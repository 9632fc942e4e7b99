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
    from ._native import Api, Call
    from ._source import TokenSource

__all__ = ["Auth"]


class Auth(Attacher, requests.auth.AuthBase):
    """Attaches the source's token, and renews it once after a 401.

    A request to any origin other than those given (by default the preset's) is refused before it
    is sent. A redirect to a different origin is followed without the token, one to a route of a different owner
    is refused (``resource.redirect``). A streaming body cannot
    be sent twice: its 401 is returned, and the token is discarded.
    A DPoP proof is for one URL and is not copied: if the target of a redirect responds with 401, the request is sent
    again with a new proof.
    """

    def __init__(
        self, source: TokenSource | Api, *, origins: Sequence[str] | None = None
    ) -> None:
        super().__init__(source, origins)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        call, sent = self._begin_call(r, r.headers)
        current = r
        _attach(r, call, sent)

        def continue_call(response: requests.Response, **options: Any) -> requests.Response:
            nonlocal call, sent, current
            redirected = response.request
            # requests removes the header when it follows a redirect to another host.
            is_redirected = sent is not None and redirected is not current
            if is_redirected and redirected.headers.get("Authorization") == sent:
                # Within the host it copies the header.
                call, sent = self._begin_call(redirected, {**redirected.headers, "Authorization": None, "DPoP": None})
                if call.proof is not None and response.status_code == 401:
                    response.content  # noqa: B018
                    response.close()
                    response = self._resend(response, call, sent, options)
                else:
                    _attach(redirected, call, sent)
                current = response.request
            while _is_attached(response.request, sent, current):
                try:
                    step = call.reply(response.status_code, response.headers.items())
                    if step[0] == "peek":
                        # Without stream=True, requests reads the body anyway.
                        is_read = not options.get("stream") or self._is_short(
                            response.headers, step[1]
                        )
                        step = call.body(response.content[: step[1]] if is_read else b"")
                except BaseException:
                    response.close()
                    raise
                if step[0] not in ("done", "refused"):
                    # Reads the body to its end, so that the connection can be reused.
                    response.content  # noqa: B018
                    response.close()
                name, value = self._run_steps(call, step)
                if name != "send":
                    return response
                sent = value
                response = self._resend(response, call, sent, options)
                current = response.request
            return response

        def on_response(response: requests.Response, **options: Any) -> requests.Response:
            first = response.request
            last = continue_call(response, **options)
            if last.is_redirect:
                # requests copies this request next, and would send the proof to a different URL or host.
                for request in (first, last.request):
                    request.headers.pop("DPoP", None)
            return last

        _untyped(r).register_hook("response", on_response)
        return r

    def _begin_call(self, request: requests.PreparedRequest, fields: Any) -> tuple[Call, str | None]:
        """The steps of this request with these header fields, and its ``Authorization``."""
        content = request.body
        content = content.encode() if isinstance(content, str) else content
        body = content if isinstance(content, bytes) else None
        headers = [field for field in fields.items() if field[1] is not None]
        streams_once = not _is_in_memory(request)
        call = self._begin(request.method or "GET", request.url or "", headers, body, streams_once)
        _, sent = self._run_steps(call, call.begin())
        return call, sent

    def _resend(
        self, response: requests.Response, call: Call, header: str | None, options: dict[str, Any]
    ) -> requests.Response:
        request = response.request.copy()
        untyped = _untyped(request)
        cookies = _untyped(requests.cookies)
        cookies.extract_cookies_to_jar(untyped._cookies, response.request, response.raw)
        untyped.prepare_cookies(untyped._cookies)
        _attach(request, call, header)
        second: requests.Response = _untyped(response).connection.send(request, **options)
        second.history.append(response)
        second.request = request
        return second


def _is_attached(request: requests.PreparedRequest, sent: str | None, current: Any) -> bool:
    """Whether the request carries the token; if there is none, whether it is the original request."""
    if sent is None:
        return request is current
    return request.headers.get("Authorization") == sent


def _attach(request: requests.PreparedRequest, call: Call, header: str | None) -> None:
    """Adds the token, and the proof of possession of one that is bound to a key (RFC 9449)."""
    if header is not None:  # Otherwise the API requires no authorization.
        request.headers["Authorization"] = header
    proof = call.proof
    if proof is not None:
        request.headers["DPoP"] = proof


def _is_in_memory(request: requests.PreparedRequest) -> bool:
    body: Any = request.body  # a stream too, regardless of what the stubs say
    return body is None or isinstance(body, (str, bytes))


def _untyped(value: Any) -> Any:
    """Gives access to attributes that the stubs of requests lack."""
    return value
