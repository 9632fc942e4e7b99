"""The WSGI middleware, for frameworks without their own module here, such as Bottle, Pyramid and Falcon.

    app = SignIn(app, site, access="signed_in")

``user(environ)`` returns the signed-in user.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator

from .._native import Forward, Reply
from ..errors import OAuthError
from ._site import Site
from ._types import NOTHING, Access, VisitResult, Need, Request, ends_session, is_over
from ._user import User
from ._wsgi_request import Environ, read_body, headers_from, request_from, target_from

if TYPE_CHECKING:
    from .._native import Streamed

__all__ = [
    "SignIn",
    "forward_call",
    "read_body",
    "challenge",
    "chunks",
    "headers_from",
    "passed_on",
    "reply",
    "request_from",
    "target_from",
    "user",
]

StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

# The keys of the environment for the site, the original request, and the user.
VISIT = "oauth_core.visit"


class SignIn:
    """WSGI middleware, which signs users in before the application is called.

    ``access`` says who may see the pages: everyone (``open``); everyone, but signed in silently if the provider has a
    session (``silent``); or only signed-in users (``signed_in``).
    """

    def __init__(self, app: App, site: Site, access: Access = "open") -> None:
        self.app = app
        self.site = site
        self.access: Access = access

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = request_from(self.site, environ)
        ended = self.site.visit(request, self.access)
        if isinstance(ended, Forward):
            return passed_on(ended, environ, start_response)
        if isinstance(ended, Reply):
            return reply(ended, start_response)
        environ[VISIT] = (self.site, request, ended)
        has_ended = has_returned = False

        def starting(status: str, *fields: Any) -> Any:
            nonlocal has_ended
            # Most frameworks answer for exceptions themselves. Once the body is sent, it is too late.
            has_ended = not has_returned and ends_session(user(environ), int(status[:3]))
            return _drop if has_ended else start_response(status, *fields)

        try:
            body = self.app(environ, starting)
            has_returned = True
            if not has_ended:
                return body
            getattr(body, "close", lambda: None)()
        except OAuthError as error:
            if not is_over(user(environ), error):
                raise
        return reply(self.site.sign_out(request), start_response)


def user(environ: Environ) -> User | None:
    """The user of a request that came through ``SignIn``, or None."""
    return _visit(environ)[2]


def challenge(environ: Environ, need: Need = NOTHING) -> VisitResult:
    """The user, if they meet the need; otherwise the reply to send."""
    site, request, current_user = _visit(environ)
    if current_user is not None and need == NOTHING:
        return current_user
    ended = site.visit(request, "signed_in", need)
    if isinstance(ended, User):
        environ[VISIT] = (site, request, ended)
    return ended


def reply(response: Reply, start_response: StartResponse) -> list[bytes]:
    """Sends a reply."""
    headers = [(name.title(), value) for name, value in response.headers]
    headers.append(("Content-Length", str(len(response.body))))
    start_response(_status(response.status), headers)
    return [response.body]


def passed_on(forward: Forward, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Forwards a page's call to its API, and streams the response back."""
    api_response = forward_call(forward, environ)
    if isinstance(api_response, Reply):
        return reply(api_response, start_response)
    start_response(_status(api_response.status), [(name.title(), value) for name, value in api_response.headers])
    return chunks(api_response)


def forward_call(forward: Forward, environ: Environ) -> Streamed | Reply:
    """The response of the API to a page's call."""
    return forward.send(read_body(environ, forward.limit))


def chunks(api_response: Streamed) -> Iterator[bytes]:
    """The body as a stream of chunks."""
    while (chunk := api_response.chunk()) is not None:
        yield chunk


def _drop(_: bytes) -> None:
    """Takes what is written to a response that another one replaces."""


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        # An API may use a status code without a standard phrase.
        return f"{code} -"


def _visit(environ: Environ) -> tuple[Site, Request, User | None]:
    if VISIT not in environ:
        raise RuntimeError("the application is not behind oauth_core.web's SignIn")
    visit: tuple[Site, Request, User | None] = environ[VISIT]
    return visit
