"""The types of a site's requests, requirements, hooks and results."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Iterable,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Union,
)

from .._native import Forward, Identity, ProviderQuery, Reply
from ..errors import OAuthError, misuse
from ._user import User

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

    from .._native import Problem, Provider

Access = Literal["open", "silent", "signed_in"]
VisitResult = Union[Reply, Forward, User, None]
Local = Optional[Mapping[str, Any]]
Admit: TypeAlias = "Callable[[Identity], Union[Local, Awaitable[Local]]]"
ErrorPage: TypeAlias = "Callable[[Problem], Union[str, Awaitable[str]]]"
Find: TypeAlias = "Callable[[ProviderQuery], Union[Optional[Provider], Awaitable[Optional[Provider]]]]"
SignedOut: TypeAlias = "Callable[[Identity], object]"


class Refuse(Exception):
    """Raised or returned by ``admit`` to refuse the user, who is shown this reason."""


class Request(NamedTuple):
    """A request, as the browser sent it."""

    method: str
    host: str
    """The ``Host`` field."""
    target: str
    """Path and query as the browser shows them: not decoded, and with the root path."""
    headers: Iterable[tuple[str | bytes, str | bytes]]
    form: bytes | None = None
    """The body, if ``reads_form`` returns True for the request."""


class Need(NamedTuple):
    """The requirements of a page beyond a signed-in user (RFC 9470)."""

    acr: Sequence[str] = ()
    max_age: int | None = None
    scope: Sequence[str] = ()
    tenant: str | None = None


NOTHING = Need()


def is_over(user: User | None, error: BaseException) -> bool:
    """Whether an exception raised by a page means that the session of this request has ended."""
    return user is not None and user.is_over and isinstance(error, OAuthError) and error.advice == "reauthorize"


def ends_session(user: User | None, status: int | None) -> bool:
    """Whether a framework has answered 500 for a page that found that the session of this request has ended."""
    return status == 500 and user is not None and user.is_over


def require_user(ended: VisitResult) -> User:
    """The user of a visit whose access mode requires a signed-in user."""
    if isinstance(ended, User):
        return ended
    raise misuse("misuse.out_of_order", "nobody is signed in after this visit")
