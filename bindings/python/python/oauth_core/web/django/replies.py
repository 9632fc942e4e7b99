"""Replies of the site, as Django responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncIterator

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

from ..._native import Reply

if TYPE_CHECKING:
    from ..._native import Streamed


async def async_chunks(answer: Streamed) -> AsyncIterator[bytes]:
    """The body of an API's response, as a stream."""
    while (bits := await answer.achunk()) is not None:
        yield bits


def streamed(answer: Streamed, body: Any) -> Any:
    """The response of an API, as a Django response."""
    passed = StreamingHttpResponse(body, status=answer.status)
    del passed.headers["Content-Type"]
    for name, value in answer.headers:
        passed.headers[name] = value
    return passed


def with_logout_cookies(answer: HttpResponse, reply: Reply) -> HttpResponse:
    """The response of a view that has logged the user out, with the cookies of the site's logout."""
    for name, value in reply.headers:
        if name == "set-cookie":
            answer.cookies.load(value)
    patch_vary_headers(answer, ["Cookie"])
    return answer


def response(reply: Reply) -> HttpResponse:
    """A reply, as Django sends it."""
    answer = HttpResponse(reply.body, status=reply.status)
    del answer.headers["Content-Type"]
    for name, value in reply.headers:
        if name == "set-cookie":
            # Several `Set-Cookie` fields have the same name, which Django's headers do not support.
            answer.cookies.load(value)
        else:
            answer.headers[name] = value
    return answer
