"""The ASGI middleware, for frameworks without their own module here, such as Litestar and Quart.

    app = SignIn(app, site, access="signed_in")

``user(scope)`` returns the signed-in user.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, MutableMapping
from urllib.parse import quote

from .._native import MAX_FORM, Forward, Reply
from ..errors import OAuthError
from ._site import Site
from ._types import NOTHING, Access, VisitResult, Need, Request, ends_session, is_over, require_user
from ._user import User

__all__ = ["SignIn", "challenge", "passed_on", "reply", "require_user", "target_from", "user"]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The keys of the scope for the site, the original request, and the user.
VISIT = "oauth_core.visit"


class SignIn:
    """ASGI middleware, which signs users in before the application is called.

    ``access`` says who may see the pages: everyone (``open``); everyone, but signed in silently if the provider has a
    session (``silent``); or only signed-in users (``signed_in``).
    """

    def __init__(self, app: App, site: Site, access: Access = "open") -> None:
        self.app = app
        self.site = site
        self.access: Access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        request = await _request(self.site, scope, receive)
        ended = await self.site.avisit(request, self.access)
        if isinstance(ended, Forward):
            return await passed_on(ended, scope, receive, send)
        if isinstance(ended, Reply):
            return await reply(ended, scope, send)
        scope[VISIT] = (self.site, request, ended)
        has_begun = has_ended = False

        async def sending(message: Any) -> None:
            nonlocal has_begun, has_ended
            # Most frameworks answer for exceptions themselves.
            has_ended = has_ended or (not has_begun and ends_session(user(scope), message.get("status")))
            if not has_ended:
                has_begun = True
                await send(message)

        try:
            await self.app(scope, receive, sending)
            if not has_ended:
                return
        except OAuthError as error:
            if has_begun or not is_over(user(scope), error):
                raise
        await reply(await self.site.asign_out(request), scope, send)


def user(scope: Scope) -> User | None:
    """The user of a request that came through ``SignIn``, or None."""
    return _visit(scope)[2]


async def challenge(scope: Scope, need: Need = NOTHING) -> VisitResult:
    """The user, if they meet the need; otherwise the reply to send."""
    site, request, current_user = _visit(scope)
    if current_user is not None and need == NOTHING:
        return current_user
    ended = await site.avisit(request, "signed_in", need)
    if isinstance(ended, User):
        scope[VISIT] = (site, request, ended)
    return ended


async def passed_on(forward: Forward, scope: Scope, receive: Receive, send: Send) -> None:
    """Forwards a page's call to its API, and streams the response back."""
    api_response = await forward.asend(await _body(receive, forward.limit))
    if isinstance(api_response, Reply):
        return await reply(api_response, scope, send)
    await send({"type": "http.response.start", "status": api_response.status, "headers": _fields(api_response.headers)})
    while (chunk := await api_response.achunk()) is not None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def reply(response: Reply, scope: Scope, send: Send) -> None:
    """Sends a reply."""
    if scope["type"] == "websocket":
        # The WebSocket has not been accepted yet, so the server responds with 403.
        return await send({"type": "websocket.close", "code": 1008})
    headers = _fields([*response.headers, ("content-length", str(len(response.body)))])
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _fields(fields: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in fields]


def _visit(scope: Scope) -> tuple[Site, Request, User | None]:
    if VISIT not in scope:
        raise RuntimeError("the application is not behind oauth_core.web's SignIn")
    visit: tuple[Site, Request, User | None] = scope[VISIT]
    return visit


async def _request(site: Site, scope: Scope, receive: Receive) -> Request:
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    host = next((value.decode("latin-1") for name, value in headers if name == b"host"), "")
    # Any page may open a WebSocket, which can change state: it is checked like a form.
    method = scope.get("method", "POST")
    target = target_from(scope)
    is_form = scope["type"] == "http" and method != "GET" and site.reads_form(method, target)
    form = await _body(receive, MAX_FORM) if is_form else None
    return Request(method, host, target, headers, form)


def target_from(scope: Scope) -> str:
    """Path and query as the browser shows them: servers and frameworks differ in whether the root path is included."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1").partition("?")[0] if raw else quote(scope["path"])
    root = quote(scope.get("root_path", "").rstrip("/"))
    if not f"{path}/".startswith(f"{root}/"):
        path = root + path
    query = scope.get("query_string", b"")
    # A test client may pass a string.
    query = query if isinstance(query, str) else query.decode("latin-1")
    return f"{path}?{query}" if query else path


async def _body(receive: Receive, limit: int) -> bytes:
    """The body, truncated to ``limit`` + 1 bytes."""
    body, has_more = bytearray(), True
    while has_more and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
    return bytes(body[: limit + 1])
