"""WSGI: for frameworks without their own module here, such as Bottle, Pyramid and Falcon.

    app = SignIn(app, site, access="signed_in")

``user(environ)`` is who is signed in.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator
from urllib.parse import quote, urlsplit

from .._native import Reply
from ..errors import OAuthError
from ._site import MAX_FORM, NOTHING, Access, Ended, Forward, Need, Request, Site, is_over
from ._user import User

if TYPE_CHECKING:
    from .._native import Streamed

__all__ = [
    "SignIn",
    "answered",
    "body_of",
    "challenge",
    "chunks",
    "headers_of",
    "passed_on",
    "reply",
    "request_of",
    "target_of",
    "user",
]

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

# The keys of the environment for the site, the original request, and the user.
VISIT = "oauth_core.visit"


class SignIn:
    """WSGI middleware, which signs people in before the application is called.

    ``access`` is whom its pages admit: everybody (``open``), everybody, but signed in if the provider knows them
    (``quiet``), or nobody else (``signed_in``).
    """

    def __init__(self, app: App, site: Site, access: Access = "open") -> None:
        self.app = app
        self.site = site
        self.access: Access = access

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = request_of(self.site, environ)
        ended = self.site.visit(request, self.access)
        if isinstance(ended, Forward):
            return passed_on(ended, environ, start_response)
        if isinstance(ended, Reply):
            return reply(ended, start_response)
        environ[VISIT] = (self.site, request, ended)
        try:
            return self.app(environ, start_response)
        except OAuthError as error:
            if not is_over(user(environ), error):
                raise
        return reply(self.site.sign_out(request), start_response)


def user(environ: Environ) -> User | None:
    """The user of a request that came through ``SignIn``, or None."""
    return _visit(environ)[2]


def challenge(environ: Environ, need: Need = NOTHING) -> Ended:
    """The user, if they meet the need; otherwise the reply to send."""
    site, request, known = _visit(environ)
    if known is not None and need == NOTHING:
        return known
    ended = site.visit(request, "signed_in", need)
    if isinstance(ended, User):
        environ[VISIT] = (site, request, ended)
    return ended


def reply(answer: Reply, start_response: StartResponse) -> list[bytes]:
    """Sends a reply."""
    headers = [(name.title(), value) for name, value in answer.headers]
    headers.append(("Content-Length", str(len(answer.body))))
    start_response(_status(answer.status), headers)
    return [answer.body]


def passed_on(forward: Forward, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Forwards a page's call to its API, and streams the response back."""
    answer = answered(forward, environ)
    if isinstance(answer, Reply):
        return reply(answer, start_response)
    start_response(_status(answer.status), [(name.title(), value) for name, value in answer.headers])
    return chunks(answer)


def answered(forward: Forward, environ: Environ) -> Streamed | Reply:
    """The response of the API to a page's call."""
    return forward.send(body_of(environ, forward.limit))


def chunks(answer: Streamed) -> Iterator[bytes]:
    """The body, streamed."""
    while (bits := answer.chunk()) is not None:
        yield bits


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        # An API may have its own.
        return f"{code} -"


def request_of(site: Site, environ: Environ) -> Request:
    """The request of an environment."""
    method, target = environ["REQUEST_METHOD"], target_of(environ)
    form = body_of(environ, MAX_FORM) if site.reads_form(method, target) else None
    return Request(method, environ.get("HTTP_HOST", ""), target, headers_of(environ), form)


def headers_of(environ: Environ) -> list[tuple[str, str]]:
    """The header fields of an environment."""
    fields = ((name[5:], value) for name, value in environ.items() if name.startswith("HTTP_"))
    return [(name.replace("_", "-").lower(), value) for name, value in fields]


def _visit(environ: Environ) -> tuple[Site, Request, User | None]:
    if VISIT not in environ:
        raise RuntimeError("the application is not behind oauth_core.web's SignIn")
    visit: tuple[Site, Request, User | None] = environ[VISIT]
    return visit


def target_of(environ: Environ) -> str:
    """The path as the browser shows it: WSGI decodes the path, and most servers also have the original."""
    root = quote(environ.get("SCRIPT_NAME", "").rstrip("/"), encoding="latin-1")
    raw: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw is None:
        path, query = quote(environ.get("PATH_INFO", ""), encoding="latin-1"), environ.get("QUERY_STRING", "")
        return f"{root}{path}?{query}" if query else root + path
    if not raw.startswith("/"):
        # To a proxy a whole URL is sent (RFC 9112 section 3.2.2).
        parts = urlsplit(raw)
        raw = f"{parts.path}?{parts.query}" if parts.query else parts.path
    path = raw.partition("?")[0]
    return raw if f"{path}/".startswith(f"{root}/") else root + raw


def body_of(environ: Environ, limit: int) -> bytes:
    """The body, cut off after this many bytes."""
    length = environ.get("CONTENT_LENGTH") or (limit + 1 if environ.get("wsgi.input_terminated") else 0)
    wanted = min(int(length), limit + 1)
    body = bytearray()
    while len(body) < wanted:
        more = environ["wsgi.input"].read(wanted - len(body))
        if not more:
            break
        body += more
    return bytes(body)
