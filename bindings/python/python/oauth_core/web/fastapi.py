"""The ``Site`` of FastAPI and Starlette.

    site = Site.from_env(app)

    @app.get("/me")
    async def me(user: User = site.user): return user.name
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

import starlette.requests
import starlette.responses

from .._lists import listed
from .._native import Reply
from . import asgi
from ._site import Site as Base
from ._types import NOTHING, Access, Need, Refuse
from ._user import User

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Refuse", "Site", "User"]


class ReplyInstead(Exception):
    """Raised to send a reply instead of calling the handler."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


class Site(Base):
    """The site of a FastAPI or Starlette application; the settings are those of ``oauth_core.web.Site``.

    ``access`` applies to all pages; a page that requires a user declares it, with ``user``.
    """

    def __init__(self, app: Starlette, *, access: Access = "open", **settings: Any) -> None:
        super().__init__(**settings)
        app.add_middleware(asgi.SignIn, site=self, access=access)
        app.add_exception_handler(ReplyInstead, _exception_handler)

    @property
    def user(self) -> Any:
        """A FastAPI dependency: the user. Without a signed-in user, the page is not called."""
        return self.required()

    @property
    def optional_user(self) -> Any:
        """A FastAPI dependency: the user, or None."""
        return _depends(current_user)

    def required(
        self, *, acr: Sequence[str] = (), max_age: int | None = None, scope: Sequence[str] = (),
        tenant: str | None = None,
    ) -> Any:
        """A FastAPI dependency: a user who has authenticated with one of these ``acr`` values and within this many
        seconds, has granted this scope (RFC 9470), and belongs to this tenant."""
        need = Need(listed("acr", acr), max_age, listed("scope", scope), tenant)

        async def user(request: starlette.requests.HTTPConnection) -> User:
            return await require(request, need)

        return _depends(user)


async def current_user(request: starlette.requests.HTTPConnection) -> User | None:
    """The user, or None."""
    return asgi.user(request.scope)


async def require(request: starlette.requests.HTTPConnection, need: Need = NOTHING) -> User:
    """The user who meets the need, for Starlette handlers; otherwise the reply is sent and the handler is aborted."""
    result = await asgi.challenge(request.scope, need)
    if isinstance(result, Reply):
        # A mounted application has its own exception handlers: the site's handler is added to them here.
        handlers = request.scope.get("starlette.exception_handlers")
        if handlers is not None:
            handlers[0].setdefault(ReplyInstead, _exception_handler)
        raise ReplyInstead(result)
    return asgi.require_user(result)


def _depends(call: Any) -> Any:
    from fastapi import Depends

    return Depends(call)


async def _exception_handler(_: starlette.requests.Request, exception: Exception) -> starlette.responses.Response:
    if not isinstance(exception, ReplyInstead):
        raise exception
    reply = exception.reply
    response = starlette.responses.Response(reply.body, reply.status)
    for name, value in reply.headers:
        response.headers.append(name, value)
    return response
