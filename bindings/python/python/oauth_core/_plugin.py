"""What the plug-ins share: one attempt to attach a token, and what a reply asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Sequence, Union

from ._native import Resource

if TYPE_CHECKING:
    from ._native import Tokens, TokenSource

__all__ = ["Attacher"]

Fields = Iterable["tuple[Union[str, bytes], Union[str, bytes]]"]


class Attacher:
    """A source, and the origins its tokens may be sent to."""

    def __init__(self, source: TokenSource, origins: Sequence[str] | None) -> None:
        self.source = source
        self._resource = source.resource(None if origins is None else list(origins))

    def header(self, tokens: Tokens, url: str, headers: Fields, body: bytes | None) -> str:
        """The value of the Authorization header, once it is sure that it may be sent there."""
        return self._resource.authorization(tokens, url, headers, body)

    #: Whether headers can matter: most replies are told by their status alone, and the libraries'
    #: headers are slow to read.
    may_be_about_the_token = staticmethod(Resource.may_be_about_the_token)

    @staticmethod
    def wants_renewal(status: int, headers: Fields) -> bool:
        """Whether the reply says that the token is dead."""
        return Resource.verdict(status, headers) == "renew"

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} of {self.source!r}>"
