"""The user: the person who is signed in, as an application sees them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from .._native import fixed_token
from ..errors import OAuthError, misuse

if TYPE_CHECKING:
    from .._native import FixedToken, GrantSource, Identity, Response, Session, Tokens
    from ._site import Site

__all__ = ["User"]


class User:
    """The person who is signed in, identified by ``issuer`` and ``subject``; never identify them by their address."""

    __slots__ = ("_site", "is_over", "session")

    session: Session
    """The session."""
    is_over: bool
    """Whether a call has found that the person's grant, and with it the session, has ended."""

    def __init__(self, site: Site, session: Session) -> None:
        self._site = site
        self.session = session
        self.is_over = False

    @property
    def identity(self) -> Identity:
        """The identity that the provider vouched for."""
        return self.session.identity

    @property
    def provider(self) -> str:
        """The provider's id at the site."""
        return self.identity.provider

    @property
    def issuer(self) -> str:
        """The provider's issuer."""
        return self.identity.issuer

    @property
    def subject(self) -> str:
        """The person's identifier at the issuer."""
        return self.identity.subject

    @property
    def sid(self) -> str | None:
        """The session at the provider, if it names one."""
        return self.identity.sid

    @property
    def claims(self) -> dict[str, Any]:
        """The other claims of the provider that the site keeps."""
        return self.identity.claims

    @property
    def name(self) -> str:
        """A display name: the name, else another claim, else the subject."""
        claims = self.claims
        names = (claims.get(claim) for claim in ("name", "preferred_username", "email"))
        return next((name for name in names if isinstance(name, str) and name), self.subject)

    @property
    def email(self) -> str | None:
        """The e-mail address, which may be unverified and may change hands: it identifies nobody."""
        email = self.claims.get("email")
        return email if isinstance(email, str) else None

    @property
    def acr(self) -> str | None:
        """How the person authenticated, if the provider says."""
        return self.identity.acr

    @property
    def auth_time(self) -> datetime | None:
        """When the person authenticated, in UTC, if the provider says."""
        return self.identity.auth_time

    @property
    def tenant(self) -> str | None:
        """The tenant of the provider, if the site has tenants."""
        return self.session.tenant

    @property
    def local(self) -> dict[str, Any]:
        """What the application added when it admitted the person."""
        return self.session.local

    @property
    def scope(self) -> list[str]:
        """What was granted."""
        return self.session.scope

    @property
    def started_at(self) -> datetime:
        """When the session began, in UTC."""
        return self.session.started_at

    @property
    def until(self) -> datetime:
        """When the session ends, in UTC."""
        return self.session.until

    @property
    def source(self) -> GrantSource:
        """The person's tokens, kept fresh: one renewal for all concurrent requests and workers.

        Only if the site has a store (``web.setup``). It waits for the provider's metadata, if it was not needed before.
        """
        grant = self.session.grant
        if grant is None:
            raise misuse("web.setup", "a session has tokens only where the site has a store")
        return self._site.sessions(self.provider).get(grant)

    def token(self, *, timeout: float | None = None) -> Tokens:
        """The person's tokens, fresh now, for calls that are not made with ``fetch``; ``web.setup`` without any.

        Once the grant has ended (advice ``reauthorize``), so has the session: on the next request nobody is signed in.
        """
        try:
            return self._keeper().token(timeout=timeout)
        except OAuthError as error:
            if error.advice == "reauthorize":
                self.is_over = True
                self._site.end(self)
            raise

    async def atoken(self, *, timeout: float | None = None) -> Tokens:
        """token(), in a coroutine."""
        await self._site.look_up(self.provider)
        try:
            return await self._keeper().atoken(timeout=timeout)
        except OAuthError as error:
            if error.advice == "reauthorize":
                self.is_over = True
                await self._site.aend(self)
            raise

    def fetch(self, url: str, *, method: str = "GET", **options: Any) -> Response:
        """Calls an API with the person's token; the options are those of ``GrantSource.request``.

        The token is sent only to ``origins``, or to the API of the provider's preset; ``resource.origin_not_allowed``
        for any other URL, wherever the tokens are kept. Once the grant has ended (advice ``reauthorize``), the session
        has ended too: on the next request nobody is signed in. The error need not be caught: if it leaves a page, the
        person is redirected to sign in, and a script gets a 401.
        """
        try:
            return self._caller(options).request(method, url, **options)
        except OAuthError as error:
            if error.advice == "reauthorize":
                self.is_over = True
                self._site.end(self)
            raise

    async def afetch(self, url: str, *, method: str = "GET", **options: Any) -> Response:
        """fetch(), in a coroutine."""
        await self._site.look_up(self.provider)
        try:
            return await self._caller(options).arequest(method, url, **options)
        except OAuthError as error:
            if error.advice == "reauthorize":
                self.is_over = True
                await self._site.aend(self)
            raise

    def _keeper(self) -> GrantSource | FixedToken:
        # Where it may be sent is for the caller to say.
        return self._caller({})

    def _caller(self, options: dict[str, Any]) -> GrantSource | FixedToken:
        tokens = self.session.tokens
        if tokens is None:
            return self.source
        # Wherever it is kept, it goes where it is told to, or to the API of the provider's preset.
        origins = options.pop("origins", None)
        return fixed_token(
            tokens.access_token,
            origins=self._site.client_of(self.provider).server if origins is None else origins,
            expires_at=tokens.expires_at,
            transport=self._site.transport,
            network=self._site.network,
        )

    def __repr__(self) -> str:
        return f"<oauth_core.web.User of {self.issuer}>"
