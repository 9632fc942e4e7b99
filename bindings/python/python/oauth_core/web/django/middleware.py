"""The Django middleware, which signs users in before their requests reach a view."""

from __future__ import annotations

from typing import Any, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse

from ..._native import MAX_FORM, Forward, Reply
from .. import asgi, wsgi
from .._site import Site
from .._targets import renamed_parameter
from .._types import VisitResult, Request, is_over
from .._visits import Steps, adrive, drive
from .checks import position_error
from .functions import SERVED, at_once
from .replies import async_chunks, response, streamed, with_logout_cookies
from .site import site


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
        if iscoroutinefunction(self):  # pyright: ignore[reportDeprecated]
            return self._acall(request)
        SERVED.set((request, at_once))
        oauth_aware_request: Any = request
        answer = drive(self._steps(oauth_aware_request, at_once, wsgi.chunks))
        if answer is not None:
            return answer
        answer = self.get_response(request)
        return with_logout_cookies(answer, self.site.sign_out(oauth_aware_request.oauth_request)) if oauth_aware_request.oauth_left else answer

    async def _acall(self, request: Any) -> Any:
        SERVED.set((request, sync_to_async))
        answer = await adrive(self._steps(request, sync_to_async, async_chunks))
        if answer is not None:
            return answer
        answer = await self.get_response(request)
        if not request.oauth_left:
            return answer
        return with_logout_cookies(answer, await self.site.asign_out(request.oauth_request))

    def _steps(self, request: Any, call: Callable[..., Any], chunks: Callable[..., Any]) -> Steps:
        """Ends with the response of the site, or with None once the request has its user."""
        from . import people

        request.oauth_request = _request(self.site, request)
        ended = yield from self.site.visit_steps(request.oauth_request, self.access)
        if isinstance(ended, Forward):
            ended = yield ended, request.read(ended.limit + 1)
            if not isinstance(ended, Reply):
                return streamed(ended, chunks(ended))
        if isinstance(ended, Reply):
            return response(ended)
        user = (yield call(people.get_user), ended.identity) if ended else None
        _set_user(request, ended, user)
        if self.access == "signed_in" and request.oauth is None:
            return response((yield from self.site.sign_out_steps(request.oauth_request)))
        return None

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        """Redirects a user whose grant has ended to sign in."""
        ended = getattr(request, "oauth", None)
        if not is_over(ended, exception):
            return None
        return response(self.site.sign_out(request.oauth_request))


def _request(oauth_site: Site, request: Any) -> Request:
    scope = getattr(request, "scope", None)
    target = wsgi.target_from(request.META) if scope is None else asgi.target_from(scope)
    if oauth_site.owns(target):
        # Views append this parameter to ``LOGIN_URL``.
        target = renamed_parameter(target, REDIRECT_FIELD_NAME, "return_to")
    form = request.read(MAX_FORM + 1) if oauth_site.reads_form(request.method, target) else None
    host = request.META.get("HTTP_HOST", "")
    return Request(request.method, host, target, wsgi.headers_from(request.META), form)


def _set_user(request: Any, ended: VisitResult, user: Any) -> None:
    """Sets the user of the request: at once, so that both names say the same, in coroutines too."""
    # The session that a view may end, whichever user the view sees.
    request.oauth_session, request.oauth_left = ended, False
    request.oauth = None if user is None or user.is_anonymous else ended
    if user is not None:

        async def auser() -> Any:
            return user

        request.user, request.auser = user, auser
