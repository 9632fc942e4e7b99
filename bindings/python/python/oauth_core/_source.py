"""The protocol of token sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ._native import Tokens

__all__ = ["TokenSource"]


@runtime_checkable
class TokenSource(Protocol):
    """Any object with these three methods, which supplies tokens.

    ``GrantSource`` keeps a grant fresh and ``FixedToken`` has one token; write your own to count, log
    or choose, or fake one in a test with ``Tokens.bearer("text")``. The methods may be called from
    several threads. If a source also has the coroutines ``atoken()`` and ``arenew(tokens)``, the
    plug-ins for asyncio await them; otherwise they call these in a thread. Exceptions of a method are
    raised to the caller that sends the request.

    If the tokens are those of a ``GrantSource`` or a ``ResourceConnection``, let the attribute ``grant``
    name it. If this source is a sign-in, the refresh token of the grant is then sent only while no worker
    renews it: a server that rotates refresh tokens could otherwise take it for stolen.
    """

    def token(self) -> Tokens:
        """Fresh tokens."""
        ...

    def renew(self, tokens: Tokens, /) -> Tokens:
        """Tokens that replace those that a resource server refused."""
        ...

    def invalidate(self, tokens: Tokens, /) -> None:
        """Discards these tokens, but no newer ones."""
        ...
