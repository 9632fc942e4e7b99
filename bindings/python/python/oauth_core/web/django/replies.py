"""Converts replies of the site to Django responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncIterator

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

from ..._native import Reply

if TYPE_CHECKING:
    from ..._native import Streamed


def response(reply: Reply) -> Any:
    """Converts a reply to a Django response."""
    return _with_headers(HttpResponse(reply.body, status=reply.status), reply)


def streamed(answer: Streamed, body: Any) -> Any:
    """The response of an API, as a Django response."""
    return _with_headers(StreamingHttpResponse(body, status=answer.status), answer)


async def async_chunks(answer: Streamed) -> AsyncIterator[bytes]:
    """The body of an API's response, as a stream."""
    while (chunk := await answer.achunk()) is not None:
        yield chunk


def _with_headers(answer: Any, reply: Reply | Streamed) -> Any:
    del answer.headers["Content-Type"]
    for name, value in reply.headers:
        if name == "set-cookie":
            # Several `Set-Cookie` fields have the same name, which Django's headers do not support.
            answer.cookies.load(value)
        else:
            answer.headers[name] = value
    return answer


def with_logout_cookies(answer: HttpResponse, reply: Reply) -> HttpResponse:
    """The response of a view that has logged the user out, with the cookies of the site's logout."""
    for name, value in reply.headers:
        if name == "set-cookie":
            answer.cookies.load(value)
    patch_vary_headers(answer, ["Cookie"])
    return answer
