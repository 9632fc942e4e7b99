"""``Site``: the sign-in of a web application, independent of frameworks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Mapping, Sequence, cast

from .._lists import listed
from .._native import Identity, Reply, Visit, WebSite
from ._env_settings import settings
from ._providers import People
from ._types import NOTHING, Access, VisitResult, Local, Need, Request
from ._user import User

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._native import Network, Provider, Session
    from ..stores import SealingKey, Store

__all__ = ["Site"]


class Site(People):
    """The sign-in of one web application."""

    def _assemble(
        self, settings: str, providers: Sequence[Provider], key: str | bytes | SealingKey,
        old_keys: Sequence[str | bytes | SealingKey], store: Store | None, network: Network | None,
    ) -> None:
        providers = listed("providers", providers)
        self._site = WebSite(settings, providers, key, listed("old_keys", old_keys), store, network)
        transport: Any = json.loads(settings).get("transport", "https")
        self.transport: Literal["https", "loopback_http"] = transport
        self.network = network
        self._store = store
        self._providers_by_id = {provider.id: provider for provider in providers}
        self._grants = {}

    @classmethod
    def from_env(cls, *app: Any, environ: Mapping[str, str] | None = None, **settings_: Any) -> Self:
        """A site from environment variables; each is also an argument.

        The client's variables are those of ``Client.from_env``: ``OAUTH_ISSUER`` or ``OAUTH_PROVIDER``,
        ``OAUTH_CLIENT_ID``, ``OAUTH_CLIENT_SECRET``. ``OAUTH_BASE_URL``, ``OAUTH_KEY``, and ``OAUTH_STORE``, a URL
        (``redis://``, ``postgres://``, ``sqlite:///path``, ``file:///folder``), are the site's, and
        ``OAUTH_TRANSPORT``, which is ``loopback_http`` for a site and a provider on this machine. ``OAUTH_USERINFO`` is
        the ``userinfo`` of ``Provider``; ``scope``, ``extra``, ``response_mode``, ``identity``, ``userinfo`` and
        ``logout_max_age_without_expiry`` are its arguments. Presets without OpenID Connect, such as ``github``,
        have their ``identity``; ``web.setup`` for one that has none, unless it is given. ``environment.missing`` names
        all required variables that are not set; other errors name the invalid variable. The provider's metadata is fetched
        at the first sign-in: until the provider responds, sign-ins get a 503 and every other page works.
        """
        return cls(*app, **settings(environ, settings_))

    def end(self, user: User) -> None:
        """Ends a session on all devices that share it, and its grant. A session that exists only in its cookie cannot be
        ended this way.
        """
        self._drive(self._result_steps(self._site.end(user.session), "resume"))

    async def aend(self, user: User) -> None:
        """end(), in a coroutine."""
        await self._adrive(self._result_steps(self._site.end(user.session), "aresume"))

    def sign_out(self, request: Request) -> Reply:
        """Ends the session of a request, and its grant, for an application with its own logout.

        Send the ``set-cookie`` fields of the reply with the application's response. The user stays signed in at
        the provider; a form that posts to ``/auth/logout`` ends that session too.
        """
        _, host, target, headers, _ = request
        ended = self._drive(self._result_steps(self._site.sign_out(host, target, headers), "resume"))
        return cast(Reply, ended)

    async def asign_out(self, request: Request) -> Reply:
        """sign_out(), in a coroutine."""
        _, host, target, headers, _ = request
        ended = await self._adrive(self._result_steps(self._site.sign_out(host, target, headers), "aresume"))
        return cast(Reply, ended)

    def testing(self, identity: Mapping[str, Any], local: Local = None) -> Reply:
        """A reply that signs a user in for a test; call it through ``oauth_core.web.testing``."""
        identity = {"provider": next(iter(self._providers_by_id), None), **identity}

        def fixed(_: Identity) -> Local:
            return local

        admit = self._admit if local is None else fixed
        ended = self._drive(self._result_steps(self._site.testing(json.dumps(identity)), "resume", admit))
        return cast(Reply, ended)

    def reads_form(self, method: str, target: str) -> bool:
        """Whether the site reads the body of such a request; adapters read at most ``MAX_FORM`` + 1 bytes of it."""
        return self._site.reads_form(method, target.partition("?")[0])

    def owns(self, target: str) -> bool:
        """Whether this is one of the site's own pages."""
        return self.reads_form("POST", target)

    def visit(self, request: Request, access: Access = "open", need: Need = NOTHING) -> VisitResult:
        """Handles a request: returns the reply to send, or the signed-in user or None if the application responds."""
        ended: VisitResult = self._drive(self._visit_steps(self._begin(request, access, need), "resume"))
        return ended

    async def avisit(self, request: Request, access: Access = "open", need: Need = NOTHING) -> VisitResult:
        """visit(), in a coroutine."""
        ended: VisitResult = await self._adrive(self._visit_steps(self._begin(request, access, need), "aresume"))
        return ended

    def _begin(self, request: Request, access: Access, need: Need) -> Visit:
        if need == NOTHING:
            return self._site.begin(*request, access=access)
        acr, max_age, scope, tenant = need
        return self._site.begin(
            *request, access=access, acr=listed("acr", acr), max_age=max_age, scope=listed("scope", scope), tenant=tenant
        )

    def _user(self, session: Session) -> User:
        return User(self, session)

    def __repr__(self) -> str:
        return repr(self._site)
