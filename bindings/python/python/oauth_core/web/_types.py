"""What a site takes, and what it gives."""

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
Ended = Union[Reply, Forward, User, None]
Local = Optional[Mapping[str, Any]]
Admit: TypeAlias = "Callable[[Identity], Union[Local, Awaitable[Local]]]"
ErrorPage: TypeAlias = "Callable[[Problem], Union[str, Awaitable[str]]]"
Find: TypeAlias = "Callable[[ProviderQuery], Union[Optional[Provider], Awaitable[Optional[Provider]]]]"
SignedOut: TypeAlias = "Callable[[Identity], object]"


class Refuse(Exception):
    """Raised, or given back, by ``admit``: the person is not let in, and is told this reason."""


class Request(NamedTuple):
    """A request, as the browser sent it."""

    method: str
    host: str
    """The ``Host`` field."""
    target: str
    """Path and query as the browser shows them: not decoded, the root path in front."""
    headers: Iterable[tuple[str | bytes, str | bytes]]
    form: bytes | None = None
    """The body, where ``reads_form`` says so."""


class Need(NamedTuple):
    """What a page wants beyond somebody who is signed in (RFC 9470)."""

    acr: Sequence[str] = ()
    max_age: int | None = None
    scope: Sequence[str] = ()
    tenant: str | None = None


NOTHING = Need()


def is_over(user: User | None, error: BaseException) -> bool:
    """Whether what left a page says that the session of this request has ended."""
    return user is not None and user.is_over and isinstance(error, OAuthError) and error.advice == "reauthorize"


def somebody(ended: Ended) -> User:
    """Who is signed in, of a visit that is not passed on without anybody."""
    if isinstance(ended, User):
        return ended
    raise misuse("misuse.out_of_order", "the visit has not signed anybody in")
