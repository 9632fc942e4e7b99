"""``required``: the decorator for views that require more than a signed-in user."""

from __future__ import annotations

import functools
from typing import Any, Callable, Sequence, TypeVar, overload

from ..._lists import listed
from ..._native import Reply
from .._types import Need
from .._visits import Steps, adrive, drive
from .functions import is_awaited
from .replies import response
from .site import site

_View = TypeVar("_View", bound=Callable[..., Any])


@overload
def required(view: _View, /) -> _View: ...
@overload
def required(
    *, acr: Sequence[str] = ..., max_age: int | None = ..., scope: Sequence[str] = ...,
    tenant: str | None = ...,
) -> Callable[[_View], _View]: ...
def required(
    view: Any = None, *, acr: Sequence[str] = (), max_age: int | None = None, scope: Sequence[str] = (),
    tenant: str | None = None,
) -> Any:
    """Restricts a view to users who have authenticated with one of these ``acr`` values and within this many seconds,
    have granted this scope (RFC 9470), and belong to this tenant. For other views use ``@login_required``.

    A user who is no longer active in Django (``is_active`` is False) is signed out, and redirected to sign
    in."""
    need = Need(listed("acr", acr), max_age, listed("scope", scope), tenant)

    def steps(request: Any) -> Steps:
        oauth_site, _ = site()
        ended = yield from oauth_site.visit_steps(request.oauth_request, "signed_in", need)
        if not isinstance(ended, Reply) and request.oauth is None:
            ended = yield from oauth_site.sign_out_steps(request.oauth_request)
        return response(ended) if isinstance(ended, Reply) else None

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def page(request: Any, *args: Any, **options: Any) -> Any:
            answer = drive(steps(request))
            return view(request, *args, **options) if answer is None else answer

        @functools.wraps(view)
        async def async_view(request: Any, *args: Any, **options: Any) -> Any:
            answer = await adrive(steps(request))
            return await view(request, *args, **options) if answer is None else answer

        return async_view if is_awaited(view) else page

    return decorate if view is None else decorate(view)
