"""The protocol of token sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ._native import Tokens

__all__ = ["TokenSource"]


@runtime_checkable
class TokenSource(Protocol):
    """Anything that returns a token when one is requested: any object with these three methods.

    ``GrantSource`` keeps a grant fresh and ``FixedToken`` has one token; wrap another to count, log
    or choose, or fake one in a test with ``Tokens.bearer("text")``. The methods may be called from
    several threads. If a source also has the coroutines ``atoken()`` and ``arenew(tokens)``, the
    plug-ins for asyncio await them; otherwise they call these in a thread. What a method raises is
    passed to the caller that made the request.
    """

    def token(self) -> Tokens:
        """Fresh tokens."""
        ...

    def renew(self, tokens: Tokens, /) -> Tokens:
        """Tokens that replace those a resource server refused."""
        ...

    def invalidate(self, tokens: Tokens, /) -> None:
        """Discards exactly these tokens."""
        ...
