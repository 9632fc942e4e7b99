"""The decorator for views that require more than a session."""

from __future__ import annotations

import functools
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
    have granted this scope (RFC 9470), and belong to this tenant. For other views use ``@login_required``."""
    need = Need(listed("acr", acr), max_age, listed("scope", scope), tenant)

    def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def page(request: Any, *args: Any, **options: Any) -> Any:
            ended = site()[0].visit(request.oauth_request, "signed_in", need)
            return response(ended) if isinstance(ended, Reply) else view(request, *args, **options)

        @functools.wraps(view)
        async def later(request: Any, *args: Any, **options: Any) -> Any:
            ended = await site()[0].avisit(request.oauth_request, "signed_in", need)
            return response(ended) if isinstance(ended, Reply) else await view(request, *args, **options)

        return later if iscoroutinefunction(view) else page  # pyright: ignore[reportDeprecated]

    return guarded if view is None else guarded(view)
