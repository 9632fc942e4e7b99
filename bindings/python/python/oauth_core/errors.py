"""The error classes, by the party at fault, each error with a stable code and advice.

No error contains a token, a code, a secret, a body, or a URL's query.
"""

from __future__ import annotations

# Type checkers treat this as true; importing `typing` would take longer than the rest of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._error_codes import (
        Advice,
        DeniedCode,
        ErrorCode,
        LostCode,
        MalformedCode,
        MisuseCode,
        UntrustedCode,
    )

__all__ = [
    "Advice",
    "DeniedError",
    "DeniedCode",
    "ErrorCode",
    "LostError",
    "LostCode",
    "MalformedError",
    "MalformedCode",
    "MisuseError",
    "MisuseCode",
    "OAuthError",
    "TransportError",
    "UntrustedError",
    "UntrustedCode",
]


class OAuthError(Exception):
    """The base class of the errors. Its text is one human-readable line."""

    # The native error, for code that passes this one back to the core.
    __slots__ = ("_native",)

    code: ErrorCode
    """The stable name to match on, such as ``callback.state`` or ``denied.invalid_grant``."""
    advice: Advice
    """The step to take after an error."""
    retry_after: float | None
    """The seconds to wait before trying again, where the advice is ``retry``: the pause that the
    server requested, or the rest of the pause after failures (backoff). A source that failed to
    get a token always names one."""
    repeated: bool
    """Whether this repeats the error of the last attempt, without a new request (backoff)."""
    endpoint: str | None
    """The endpoint that was used, such as ``token``."""
    url: str | None
    """The URL that was requested, if a server answered it wrongly or not at all: scheme, host and path,
    without the query, which may hold secrets. Of an API only the origin."""
    status: int | None
    """The HTTP status of a refusal."""
    error: str | None
    """The OAuth ``error`` of a refusal."""
    error_description: str | None
    """The ``error_description`` of a refusal."""
    extra: dict[str, Any]
    """Members of a refusal that OAuth does not define."""
    response_status: int | None
    """The HTTP status with which an API should respond to the request whose access token met this error."""
    challenge: str | None
    """The ``WWW-Authenticate`` field of that response; None if the token is not at fault."""
    response_headers: dict[str, str]
    """The header fields of that response, with names in lower case: ``www-authenticate``, and ``dpop-nonce`` if the
    API requires nonces in DPoP proofs."""

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode,
        advice: Advice = "give_up",
        retry_after: float | None = None,
        repeated: bool = False,
        endpoint: str | None = None,
        url: str | None = None,
        status: int | None = None,
        error: str | None = None,
        error_description: str | None = None,
        extra: dict[str, Any] | None = None,
        response_status: int | None = None,
        challenge: str | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice
        self.retry_after = retry_after
        self.repeated = repeated
        self.endpoint = endpoint
        self.url = url
        self.status = status
        self.error = error
        self.error_description = error_description
        self.extra = {} if extra is None else extra
        self.response_status = response_status
        self.challenge = challenge
        self.response_headers = {} if response_headers is None else response_headers

    @property
    def hint(self) -> str | None:
        """The usual remedy in one sentence, for codes whose message does not contain it."""
        from ._hints import HINTS

        return HINTS.get(self.code)

    @property
    def __notes__(self) -> list[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The hint, which a traceback of Python 3.11 shows below the text, and the notes that were added."""
        notes: list[str] | None = self.__dict__.get("__notes__")
        if notes is None:
            if self.hint is None:
                raise AttributeError("__notes__")
            notes = self.__dict__["__notes__"] = [f"hint: {self.hint}"]
        return notes

    @__notes__.setter
    def __notes__(self, notes: list[str]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.__dict__["__notes__"] = notes

    def __reduce__(
        self,
    ) -> tuple[Callable[..., OAuthError], tuple[type[OAuthError], str, dict[str, Any]]]:
        return _rebuild, (type(self), str(self), dict(self.__dict__))


def _rebuild(kind: type[OAuthError], message: str, attributes: dict[str, Any]) -> OAuthError:
    attributes.pop("__notes__", None)
    return kind(message, **attributes)


# generated by cargo xtask codegen, do not edit


class DeniedError(OAuthError):
    """Refused: by the server, or unsent while its refusal still holds."""

    code: DeniedCode  # pyright: ignore[reportIncompatibleVariableOverride]


class MalformedError(OAuthError):
    """The server, or whatever answered in its place, broke the protocol."""

    code: MalformedCode  # pyright: ignore[reportIncompatibleVariableOverride]


class UntrustedError(OAuthError):
    """A check failed: the message may be forged, replayed or meant for somebody else, or a site does not serve the request. Never act on its content."""

    code: UntrustedCode  # pyright: ignore[reportIncompatibleVariableOverride]


class LostError(OAuthError):
    """No reply arrived. The request may have been carried out all the same.

    The cause is in ``__cause__``.
    """

    code: LostCode  # pyright: ignore[reportIncompatibleVariableOverride]


class MisuseError(OAuthError):
    """The call cannot be carried out: its arguments, the settings or the state of the grant do not allow it."""

    code: MisuseCode  # pyright: ignore[reportIncompatibleVariableOverride]


CLASSES: dict[str, type[OAuthError]] = {
    "denied": DeniedError,
    "malformed": MalformedError,
    "untrusted": UntrustedError,
    "lost": LostError,
    "misuse": MisuseError,
}
# end of what is generated


def misuse(code: MisuseCode, text: str) -> MisuseError:
    """An error of the Python half, in the format of the native half: the text ends with the code."""
    return MisuseError(f"{text} [{code}]", code=code)


class TransportError(Exception):
    """The transport's reason why no response arrived; it contains no URL."""


if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "Advice" or (name in __all__ and name.endswith("Code")):
            from . import _error_codes

            return getattr(_error_codes, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
