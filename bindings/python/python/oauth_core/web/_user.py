"""``User``: the signed-in user, with their identity, tokens and calls of the provider's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._native import fixed_token
from ..errors import OAuthError, misuse
from ._session_identity import Person

if TYPE_CHECKING:
    from .._native import FixedToken, GrantSource, Response, Session, Tokens
    from ._site import Site

__all__ = ["User"]


class User(Person):
    """The signed-in user, identified by ``issuer`` and ``subject``; never identify users by their email address."""

    __slots__ = ("_site", "is_over")

    is_over: bool
    """Whether a call has found that the user's grant, and with it the session, has ended."""

    def __init__(self, site: Site, session: Session) -> None:
        self._site = site
        self.session = session
        self.is_over = False

    @property
    def source(self) -> GrantSource:
        """The source of the user's tokens: one renewal for all concurrent requests and workers.

        Requires a store (``web.setup`` otherwise). Waits for the provider's metadata, if it was not needed before.
        """
        grant = self.session.grant
        if grant is None:
            raise misuse("web.setup", "sessions have tokens only if the site has a store")
        return self._site.sessions(self.provider).get(grant)

    def token(self, *, timeout: float | None = None) -> Tokens:
        """The user's tokens, renewed if necessary, for calls without ``fetch``; ``web.setup`` if there are none.

        Once the grant has ended (advice ``reauthorize``), so has the session: the next request has no signed-in user.
        """
        try:
            return self._token_source().token(timeout=timeout)
        except OAuthError as error:
            if error.advice == "reauthorize":
                self.is_over = True
                self._site.end(self)
            raise

    async def atoken(self, *, timeout: float | None = None) -> Tokens:
        """The coroutine version of token()."""
        await self._site.look_up(self.provider)
        try:
            return await self._token_source().atoken(timeout=timeout)
        except OAuthError as error:
            if error.advice == "reauthorize":
                self.is_over = True
                await self._site.aend(self)
            raise

    def fetch(self, url: str, *, method: str = "GET", **options: Any) -> Response:
        """Calls an API with the user's token; the options are those of ``GrantSource.request``.

        The token is sent only to ``origins``, or to the API of the provider's preset; ``resource.origin_not_allowed``
        for any other URL. Once the grant has ended (advice ``reauthorize``), the session
        has ended too: the next request has no signed-in user. The error need not be caught: if a page raises it, the
        user is redirected to sign in, and a script gets a 401.
        """
        try:
            return self._source_for(options).request(method, url, **options)
        except OAuthError as error:
            if error.advice == "reauthorize":
                self.is_over = True
                self._site.end(self)
            raise

    async def afetch(self, url: str, *, method: str = "GET", **options: Any) -> Response:
        """The coroutine version of fetch()."""
        await self._site.look_up(self.provider)
        try:
            return await self._source_for(options).arequest(method, url, **options)
        except OAuthError as error:
            if error.advice == "reauthorize":
                self.is_over = True
                await self._site.aend(self)
            raise

    def _token_source(self) -> GrantSource | FixedToken:
        # The application receives the token itself, so it decides to which origins it is sent.
        return self._source_for({})

    def _source_for(self, options: dict[str, Any]) -> GrantSource | FixedToken:
        tokens = self.session.tokens
        if tokens is None:
            return self.source
        # The token is sent to the given origins, or else to the API of the provider's preset.
        origins = options.pop("origins", None)
        return fixed_token(
            tokens.access_token,
            origins=self._site.client_for(self.provider).server if origins is None else origins,
            expires_at=tokens.expires_at,
            transport=self._site.transport,
            network=self._site.network,
        )

    def __repr__(self) -> str:
        return f"<oauth_core.web.User of {self.issuer}>"
