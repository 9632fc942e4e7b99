"""What a source of tokens is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ._native import Tokens

__all__ = ["TokenSource"]


@runtime_checkable
class TokenSource(Protocol):
    """Whatever has a token when one is asked for.

    ``GrantSource`` keeps a grant fresh, ``FixedToken`` has one token and no other; write one of your
    own to choose, count or fake them (``Tokens.bearer`` makes tokens). ``Api`` and the plug-ins take
    any. The methods are called from several threads. A source for asyncio may have coroutines
    ``atoken`` and ``arenew`` as well; the plug-ins run the others in a thread.
    """

    def token(self) -> Tokens:
        """Tokens that are fresh now."""
        ...

    def renew(self, tokens: Tokens, /) -> Tokens:
        """Tokens to take the place of those that a resource server refused."""
        ...

    def invalidate(self, tokens: Tokens, /) -> None:
        """Forgets exactly these tokens."""
        ...
