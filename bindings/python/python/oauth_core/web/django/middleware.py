"""The Django middleware, which signs users in before their requests reach a view."""

from __future__ import annotations

from typing import Any, Callable
from urllib.parse import unquote_plus

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from ..._native import MAX_FORM, Forward, Reply
from .. import asgi, wsgi
from .._site import Site
from .._types import VisitResult, Request, is_over
from .replies import async_chunks, response, streamed, with_logout_cookies
from .site import SERVED, at_once, site


class Middleware:
    """Signs users in before their requests reach a view. Place it after Django's middleware for sessions and users.

    ``request.oauth`` is the ``User`` of this package, or None; ``request.user`` is Django's. Of a person whose user is not
    active, or has been deleted, views see neither, as with Django's own sessions. A user who is signed in with a Django
    password stays signed in. A view that calls ``logout``, or ``login`` for a different user, as the admin
    does, also ends the session of this package, and its grant.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        problem = position_error()
        if problem:
            # In a different position, Django's middleware would immediately sign every user out again.
            raise ImproperlyConfigured(problem)
        self.site, self.access = site()
        if iscoroutinefunction(get_response):  # pyright: ignore[reportDeprecated]
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        oauth_aware_request: Any = request
        oauth_aware_request.oauth_request = _request(self.site, request)
        if iscoroutinefunction(self):  # pyright: ignore[reportDeprecated]
            return self._acall(oauth_aware_request)
        SERVED.set((request, at_once))
        ended = self.site.visit(oauth_aware_request.oauth_request, self.access)
        if isinstance(ended, Forward):
            api_response = ended.send(request.read(ended.limit + 1))
            return response(api_response) if isinstance(api_response, Reply) else streamed(api_response, wsgi.chunks(api_response))
        if isinstance(ended, Reply):
            return response(ended)
        _set_user(oauth_aware_request, ended, _user_of(ended))
        if self.access == "signed_in" and oauth_aware_request.oauth is None:
            return response(self.site.sign_out(oauth_aware_request.oauth_request))
        view_response: HttpResponse = self.get_response(oauth_aware_request)
        return with_logout_cookies(view_response, self.site.sign_out(oauth_aware_request.oauth_request)) if oauth_aware_request.oauth_left else view_response

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        """Redirects a user whose grant has ended to sign in."""
        ended = getattr(request, "oauth", None)
        if not is_over(ended, exception):
            return None
        return response(self.site.sign_out(request.oauth_request))

    async def _acall(self, request: Any) -> HttpResponse:
        SERVED.set((request, sync_to_async))
        ended = await self.site.avisit(request.oauth_request, self.access)
        if isinstance(ended, Forward):
            api_response = await ended.asend(request.read(ended.limit + 1))
            return response(api_response) if isinstance(api_response, Reply) else streamed(api_response, async_chunks(api_response))
        if isinstance(ended, Reply):
            return response(ended)
        _set_user(request, ended, await sync_to_async(_user_of)(ended) if ended is not None else None)
        if self.access == "signed_in" and request.oauth is None:
            return response(await self.site.asign_out(request.oauth_request))
        view_response: HttpResponse = await self.get_response(request)
        if not request.oauth_left:
            return view_response
        return with_logout_cookies(view_response, await self.site.asign_out(request.oauth_request))


def position_error() -> str | None:
    """The error of the middleware's position in the settings, if it is wrong."""
    from django.contrib.auth.middleware import AuthenticationMiddleware
    from django.contrib.sessions.middleware import SessionMiddleware

    names: list[str] = list(settings.MIDDLEWARE)
    classes = [(name, import_string(name)) for name in names]
    own_position = next((at for at, (_, middleware) in enumerate(classes) if _is_a(middleware, Middleware)), len(classes))
    needed = (SessionMiddleware, AuthenticationMiddleware)
    late = [name for name, middleware in classes[own_position + 1 :] if any(_is_a(middleware, kind) for kind in needed)]
    if not late:
        return None
    return f"{names[own_position]} must come after {' and '.join(late)} in MIDDLEWARE"


def _is_a(value: Any, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)


def _request(oauth_site: Site, request: Any) -> Request:
    scope = getattr(request, "scope", None)
    target = wsgi.target_from(request.META) if scope is None else asgi.target_from(scope)
    if oauth_site.owns(target):
        target = _with_return_to(target)
    form = request.read(MAX_FORM + 1) if oauth_site.reads_form(request.method, target) else None
    host = request.META.get("HTTP_HOST", "")
    return Request(request.method, host, target, wsgi.headers_from(request.META), form)


def _with_return_to(target: str) -> str:
    """The target of a page of the site, with Django's parameter for the page to return to, which views append to
    ``LOGIN_URL``, renamed to the site's ``return_to``."""
    path, mark, query = target.partition("?")
    pairs = [part.partition("=") for part in query.split("&")]
    names = [unquote_plus(name) for name, _, _ in pairs]
    if REDIRECT_FIELD_NAME not in names or "return_to" in names:
        return target
    # Like Django, takes the last if there are several.
    last = len(names) - 1 - names[::-1].index(REDIRECT_FIELD_NAME)
    parts = [
        f"return_to={value}" if at == last else f"{name}{equals}{value}"
        for at, (name, equals, value) in enumerate(pairs)
        if at == last or names[at] != REDIRECT_FIELD_NAME
    ]
    return f"{path}{mark}{'&'.join(parts)}"


def _user_of(ended: VisitResult) -> Any:
    from . import people

    return None if ended is None or isinstance(ended, (Forward, Reply)) else people.get_user(ended.identity)


def _set_user(request: Any, ended: VisitResult, user: Any) -> None:
    """Sets the user of the request: at once, so that both names say the same, in coroutines too."""
    # The session that a view may end, whichever user the view sees.
    request.oauth_session, request.oauth_left = ended, False
    request.oauth = None if user is None or user.is_anonymous else ended
    if user is not None:

        async def auser() -> Any:
            return user

        request.user, request.auser = user, auser
