"""Converts replies of the site to Django responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncIterator

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

from ..._native import Reply

if TYPE_CHECKING:
    from ..._native import Streamed


async def async_chunks(api_response: Streamed) -> AsyncIterator[bytes]:
    """The body of an API's response, as a stream."""
    while (chunk := await api_response.achunk()) is not None:
        yield chunk


def streamed(api_response: Streamed, body: Any) -> Any:
    """The response of an API, as a Django response."""
    django_response = StreamingHttpResponse(body, status=api_response.status)
    del django_response.headers["Content-Type"]
    for name, value in api_response.headers:
        django_response.headers[name] = value
    return django_response


def with_logout_cookies(view_response: HttpResponse, reply: Reply) -> HttpResponse:
    """The response of a view that has logged the user out, with the cookies of the site's logout."""
    for name, value in reply.headers:
        if name == "set-cookie":
            view_response.cookies.load(value)
    patch_vary_headers(view_response, ["Cookie"])
    return view_response


def response(reply: Reply) -> HttpResponse:
    """Converts a reply to a Django response."""
    django_response = HttpResponse(reply.body, status=reply.status)
    del django_response.headers["Content-Type"]
    for name, value in reply.headers:
        if name == "set-cookie":
            # Several `Set-Cookie` fields have the same name, which Django's headers do not support.
            django_response.cookies.load(value)
        else:
            django_response.headers[name] = value
    return django_response
