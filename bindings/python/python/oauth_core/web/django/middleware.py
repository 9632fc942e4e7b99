"""The middleware: requests in, responses of the site or of the views out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncIterator, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.functional import SimpleLazyObject

from ..._native import Reply
from .. import asgi, wsgi
from .._site import MAX_FORM, Ended, Forward, Request, Site
from .site import SERVED, site

if TYPE_CHECKING:
    from ..._native import Streamed


class Middleware:
    """Signs people in before their requests reach a view. Its place is after Django's own for sessions and users.

    ``request.oauth`` is the ``User`` of this package, or None; ``request.user`` is Django's. Whoever is signed in with a
    password of Django's stays so.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.site, self.access = site()
        if iscoroutinefunction(get_response):  # pyright: ignore[reportDeprecated]
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        seen: Any = request
        seen.oauth_request = _request(self.site, request)
        if iscoroutinefunction(self):  # pyright: ignore[reportDeprecated]
            return self._later(seen)
        SERVED.set((request, _at_once))
        ended = self.site.visit(seen.oauth_request, self.access)
        if isinstance(ended, Forward):
            answer = ended.send(request.read(ended.limit + 1))
            return response(answer) if isinstance(answer, Reply) else streamed(answer, wsgi.chunks(answer))
        return response(ended) if isinstance(ended, Reply) else self.get_response(_seen_by(seen, ended))

    async def _later(self, request: Any) -> HttpResponse:
        SERVED.set((request, sync_to_async))
        ended = await self.site.avisit(request.oauth_request, self.access)
        if isinstance(ended, Forward):
            answer = await ended.asend(request.read(ended.limit + 1))
            return response(answer) if isinstance(answer, Reply) else streamed(answer, _later_chunks(answer))
        if isinstance(ended, Reply):
            return response(ended)
        answer: HttpResponse = await self.get_response(_seen_by(request, ended))
        return answer


def _at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _request(its: Site, request: Any) -> Request:
    scope = getattr(request, "scope", None)
    target = wsgi.target_of(request.META) if scope is None else asgi.target_of(scope)
    if its.owns(target):
        # As Django's own login page has it.
        target = target.replace("?next=", "?return_to=", 1)
    form = request.read(MAX_FORM + 1) if its.reads_form(request.method, target) else None
    host = request.META.get("HTTP_HOST", "")
    return Request(request.method, host, target, wsgi.headers_of(request.META), form)


def _seen_by(request: Any, ended: Ended) -> Any:
    """The request, with who is signed in."""
    from . import people

    request.oauth = ended
    if ended is not None and not isinstance(ended, (Forward, Reply)):
        identity = ended.identity
        request.user = SimpleLazyObject(lambda: people.user_of(identity))

        async def auser() -> Any:
            return await sync_to_async(people.user_of)(identity)

        request.auser = auser
    return request


async def _later_chunks(answer: Streamed) -> AsyncIterator[bytes]:
    while (bits := await answer.achunk()) is not None:
        yield bits


def streamed(answer: Streamed, body: Any) -> Any:
    """What an API says, as Django passes it on."""
    passed = StreamingHttpResponse(body, status=answer.status)
    del passed.headers["Content-Type"]
    for name, value in answer.headers:
        passed.headers[name] = value
    return passed


def response(reply: Reply) -> HttpResponse:
    """A reply, as Django sends it."""
    answer = HttpResponse(reply.body, status=reply.status)
    del answer.headers["Content-Type"]
    for name, value in reply.headers:
        if name == "set-cookie":
            # Several of them have one name, which Django's header fields cannot.
            answer.cookies.load(value)
        else:
            answer.headers[name] = value
    return answer
