"""``required``: the decorator for views that require more than a signed-in user."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Sequence, TypeVar, overload

from asgiref.sync import iscoroutinefunction

from ..._lists import listed
from ..._native import Reply
from .._types import Need
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

    def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def page(request: Any, *args: Any, **options: Any) -> Any:
            oauth_site, _ = site()
            ended = oauth_site.visit(request.oauth_request, "signed_in", need)
            if not isinstance(ended, Reply) and request.oauth is None:
                ended = oauth_site.sign_out(request.oauth_request)
            return response(ended) if isinstance(ended, Reply) else view(request, *args, **options)

        @functools.wraps(view)
        async def later(request: Any, *args: Any, **options: Any) -> Any:
            oauth_site, _ = site()
            ended = await oauth_site.avisit(request.oauth_request, "signed_in", need)
            if not isinstance(ended, Reply) and request.oauth is None:
                ended = await oauth_site.asign_out(request.oauth_request)
            return response(ended) if isinstance(ended, Reply) else await view(request, *args, **options)

        return later if _is_awaited(view) else page

    return guarded if view is None else guarded(view)


def _is_awaited(view: Callable[..., Any]) -> bool:
    """Whether Django awaits the result of the view."""
    if iscoroutinefunction(view):  # pyright: ignore[reportDeprecated]
        return True
    # ``method_decorator`` passes ``dispatch``, which is not a coroutine function even if the handlers are.
    bound: Any = inspect.unwrap(view, stop=lambda one: isinstance(one, functools.partial))
    method = bound.func if isinstance(bound, functools.partial) else bound
    is_dispatch = getattr(method, "__name__", None) == "dispatch"
    return is_dispatch and bool(getattr(getattr(method, "__self__", None), "view_is_async", False))
