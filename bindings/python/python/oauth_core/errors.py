"""Errors: whose fault it was, a stable code, and what to do about it.

No error holds a token, a code, a secret, a body, or a URL's query.
"""

from __future__ import annotations

# Type checkers take this for true; the import of `typing` would cost more than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Literal

    Advice = Literal["retry", "reauthorize", "give_up"]

__all__ = [
    "Denied",
    "Lost",
    "Malformed",
    "Misuse",
    "OAuthError",
    "TransportError",
    "Untrusted",
]


class OAuthError(Exception):
    """What went wrong in a conversation. Its text is one line for people."""

    code: str
    """The stable name to match on, such as ``callback.state`` or ``denied.invalid_grant``."""
    advice: Advice
    """What to do next."""
    retry_after: float | None
    """The seconds to wait before a retry, if the server named them."""
    endpoint: str | None
    """The endpoint at work, such as ``token``."""
    status: int | None
    """The HTTP status of a refusal."""
    error: str | None
    """The OAuth ``error`` of a refusal."""
    error_description: str | None
    """The ``error_description`` of a refusal."""
    extra: dict[str, Any]
    """Members of a refusal that OAuth does not define."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        advice: Advice = "give_up",
        retry_after: float | None = None,
        endpoint: str | None = None,
        status: int | None = None,
        error: str | None = None,
        error_description: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice
        self.retry_after = retry_after
        self.endpoint = endpoint
        self.status = status
        self.error = error
        self.error_description = error_description
        self.extra = {} if extra is None else extra

    def __reduce__(
        self,
    ) -> tuple[Callable[..., OAuthError], tuple[type[OAuthError], str, dict[str, Any]]]:
        return _rebuild, (type(self), str(self), dict(self.__dict__))


def _rebuild(kind: type[OAuthError], message: str, facts: dict[str, Any]) -> OAuthError:
    facts.pop("__notes__", None)
    return kind(message, **facts)


class Denied(OAuthError):
    """The server understood and said no."""


class Malformed(OAuthError):
    """The server, or whatever answered in its place, broke the protocol."""


class Untrusted(OAuthError):
    """A check failed: the message may not be what it claims. Never act on its content."""


class Lost(OAuthError):
    """No answer arrived. The cause is in ``__cause__``."""


class Misuse(OAuthError):
    """The caller asked for something that must not or cannot be done."""


class TransportError(Exception):
    """Why no answer arrived, in the transport's words; never a URL."""


if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "Advice":
            from typing import Literal

            return Literal["retry", "reauthorize", "give_up"]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
