"""Converts replies of the site to Django responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncIterator, TypeVar

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

from ..._native import Reply

if TYPE_CHECKING:
    from ..._native import Streamed

_Response = TypeVar("_Response", HttpResponse, StreamingHttpResponse)


def response(reply: Reply) -> HttpResponse:
    """Converts a reply to a Django response."""
    return _with_headers(HttpResponse(reply.body, status=reply.status), reply)


def streamed(api_response: Streamed, body: Any) -> StreamingHttpResponse:
    """The response of an API, as a Django response."""
    return _with_headers(StreamingHttpResponse(body, status=api_response.status), api_response)


async def async_chunks(api_response: Streamed) -> AsyncIterator[bytes]:
    """The body of an API's response, as a stream."""
    while (chunk := await api_response.achunk()) is not None:
        yield chunk


def _with_headers(answer: _Response, reply: Reply | Streamed) -> _Response:
    del answer.headers["Content-Type"]
    for name, value in reply.headers:
        if name == "set-cookie":
            # Several `Set-Cookie` fields have the same name, which Django's headers do not support.
            answer.cookies.load(value)
        else:
            answer.headers[name] = value
    return answer


def with_logout_cookies(view_response: HttpResponse, reply: Reply) -> HttpResponse:
    """The response of a view that has logged the user out, with the cookies of the site's logout."""
    for name, value in reply.headers:
        if name == "set-cookie":
            view_response.cookies.load(value)
    patch_vary_headers(view_response, ["Cookie"])
    return view_response
