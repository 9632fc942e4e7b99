"""The ``Site`` of Flask.

    site = Site.from_env(app)

    @app.get("/me")
    @site.required
    def me(): return site.user.name
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Sequence, TypeVar, overload

import flask

from .._lists import listed
from .._native import Forward, Reply
from ..errors import OAuthError
from . import wsgi
from ._site import Site as Base
from ._types import Access, Need, Refuse, is_over
from ._user import User

if TYPE_CHECKING:
    from flask import Flask, Response

    from .._native import Streamed

__all__ = ["Refuse", "Site", "User"]

_View = TypeVar("_View", bound=Callable[..., Any])


class Site(Base):
    """The site of a Flask application; the settings are those of ``oauth_core.web.Site``.

    An application factory passes no application, and calls ``init_app`` later. ``access`` says who may see all pages; a
    page that requires a signed-in user is decorated with ``required``. Hooks are called in the context of the
    request.
    """

    def __init__(self, app: Flask | None = None, *, access: Access = "open", **settings: Any) -> None:
        super().__init__(**settings)
        self._access: Access = access
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Adds the sign-in to this application."""
        # Inserted first, before other functions read the request.
        app.before_request_funcs.setdefault(None, []).insert(0, self._before_request)
        app.register_error_handler(OAuthError, self._on_grant_ended)

    @property
    def user(self) -> User:
        """The user, on a page that is ``required``; use ``optional_user`` on others."""
        user = self.optional_user
        if user is None:
            raise RuntimeError("no user is signed in: decorate the page with @site.required")
        return user

    @property
    def optional_user(self) -> User | None:
        """The user, or None."""
        return wsgi.user(flask.request.environ)

    @overload
    def required(self, view: _View, /) -> _View: ...
    @overload
    def required(
        self, *, acr: Sequence[str] = ..., max_age: int | None = ..., scope: Sequence[str] = ...,
        tenant: str | None = ...,
    ) -> Callable[[_View], _View]: ...
    def required(
        self,
        view: Any = None,
        *,
        acr: Sequence[str] = (),
        max_age: int | None = None,
        scope: Sequence[str] = (),
        tenant: str | None = None,
    ) -> Any:
        """Restricts a page to users who have authenticated with one of these ``acr`` values and within this many
        seconds, have granted this scope (RFC 9470), and belong to this tenant."""
        need = Need(listed("acr", acr), max_age, listed("scope", scope), tenant)

        def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(view)
            def page(*args: Any, **options: Any) -> Any:
                environ = flask.request.environ
                ended = wsgi.challenge(environ, need)
                if isinstance(ended, Reply):
                    return _response(ended)
                return flask.current_app.ensure_sync(view)(*args, **options)

            return page

        return guarded if view is None else guarded(view)

    def _before_request(self) -> Response | None:
        environ = flask.request.environ
        request = wsgi.request_from(self, environ)
        ended = self.visit(request, self._access)
        if isinstance(ended, Forward):
            answer = wsgi.forward_call(ended, environ)
            return _response(answer) if isinstance(answer, Reply) else _streamed(answer)
        if isinstance(ended, Reply):
            return _response(ended)
        environ[wsgi.VISIT] = (self, request, ended)
        return None

    def _on_grant_ended(self, error: OAuthError) -> Response:
        visit = flask.request.environ.get(wsgi.VISIT)
        if visit is None or not is_over(visit[2], error):
            raise error
        return _response(self.sign_out(visit[1]))


def _response(reply: Reply) -> Response:
    return _add_headers(flask.Response(reply.body, reply.status), reply.headers)


def _streamed(api_response: Streamed) -> Response:
    return _add_headers(flask.Response(wsgi.chunks(api_response), api_response.status), api_response.headers)


def _add_headers(response: Response, headers: list[tuple[str, str]]) -> Response:
    del response.headers["Content-Type"]
    for name, value in headers:
        response.headers.add(name, value)
    return response
