"""The middleware, and what a view wants of whoever sees it."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import Any, Callable, Sequence

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from ..._native import Identity, Reply
from .. import asgi, wsgi
from .._site import MAX_FORM, Ended, Need, Request, Site

# The request that is served, and how a function that may ask the database is called there.
_SERVED: ContextVar[tuple[HttpRequest, Callable[..., Any]]] = ContextVar("oauth_core_served")


class Middleware:
    """Signs people in before their requests reach a view. Its place is after Django's own for sessions and users.

    ``request.oauth`` is the ``User`` of this package, or None; ``request.user`` is Django's. Whoever is signed in with a
    password of Django's stays so.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.site, self.access = _site()
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        seen: Any = request
        seen.oauth_request = _request(self.site, request)
        if iscoroutinefunction(self):
            return self._later(seen)
        _SERVED.set((request, _at_once))
        ended = self.site.visit(seen.oauth_request, self.access)
        return _response(ended) if isinstance(ended, Reply) else self.get_response(_seen_by(seen, ended))

    async def _later(self, request: Any) -> HttpResponse:
        _SERVED.set((request, sync_to_async))
        ended = await self.site.avisit(request.oauth_request, self.access)
        if isinstance(ended, Reply):
            return _response(ended)
        response: HttpResponse = await self.get_response(_seen_by(request, ended))
        return response


def required(
    view: Any = None, *, acr: Sequence[str] = (), max_age: int | None = None, scope: Sequence[str] = ()
) -> Any:
    """Has a view called for whoever is signed in alone, has authenticated in one of these ways (``acr``) and within
    these last seconds, and has granted this scope (RFC 9470). ``@login_required`` is for the rest."""
    need = Need(tuple(acr), max_age, tuple(scope))

    def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def page(request: Any, *args: Any, **options: Any) -> Any:
            ended = _site()[0].visit(request.oauth_request, "signed_in", need)
            return _response(ended) if isinstance(ended, Reply) else view(request, *args, **options)

        @functools.wraps(view)
        async def later(request: Any, *args: Any, **options: Any) -> Any:
            ended = await _site()[0].avisit(request.oauth_request, "signed_in", need)
            return _response(ended) if isinstance(ended, Reply) else await view(request, *args, **options)

        return later if iscoroutinefunction(view) else page

    return guarded if view is None else guarded(view)


@functools.cache
def _site() -> tuple[Site, Any]:
    """The site of this process, out of Django's settings and the environment."""
    from . import people

    given = dict(getattr(settings, "OAUTH", {}))
    access = given.pop("access", "open")
    hooks = [given.pop(name, None) for name in ("admit", "user", "error_page")]
    admit, user, error_page = (import_string(hook) if isinstance(hook, str) else hook for hook in hooks)
    site = Site.from_env(**given)

    @site.admit
    def sign_in(identity: Identity) -> Any:
        request, call = _SERVED.get()
        return call(people.sign_in)(request, identity, admit, user)

    @site.signed_out
    def sign_out(identity: Identity) -> Any:
        request, call = _SERVED.get()
        return call(people.sign_out)(request, identity)

    if error_page is not None:
        site.error_page(error_page)
    return site, access


def _at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _request(site: Site, request: Any) -> Request:
    scope = getattr(request, "scope", None)
    target = wsgi.target_of(request.META) if scope is None else asgi.target_of(scope)
    if site.owns(target):
        # As Django's own login page has it.
        target = target.replace("?next=", "?return_to=", 1)
    form = request.read(MAX_FORM + 1) if site.reads_form(request.method, target) else None
    host = request.META.get("HTTP_HOST", "")
    return Request(request.method, host, target, wsgi.headers_of(request.META), form)


def _seen_by(request: Any, ended: Ended) -> Any:
    """The request, with who is signed in."""
    from . import people

    request.oauth = ended
    if ended is not None and not isinstance(ended, Reply):
        identity = ended.identity
        request.user = SimpleLazyObject(lambda: people.user_of(identity))

        async def auser() -> Any:
            return await sync_to_async(people.user_of)(identity)

        request.auser = auser
    return request


def _response(reply: Reply) -> HttpResponse:
    response = HttpResponse(reply.body, status=reply.status)
    del response.headers["Content-Type"]
    for name, value in reply.headers:
        if name == "set-cookie":
            # Several of them have one name, which Django's header fields cannot.
            response.cookies.load(value)
        else:
            response.headers[name] = value
    return response
