"""A site: its settings, its hooks, and how a request is answered."""

from __future__ import annotations

import json
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    TypeVar,
    Union,
    cast,
)

from .._bridge import settled
from .._lists import listed
from .._native import MAX_FORM, ProviderQuery, Forward, Identity, Reply, Sessions, Visit, WebSite
from ..errors import OAuthError, misuse
from ._environment import settings
from ._settings import SiteSettings
from ._user import User

if TYPE_CHECKING:
    from typing_extensions import Self, TypeAlias

    from .._client import Client
    from .._native import Network, Problem, Provider
    from ..stores import Key, Store

__all__ = ["MAX_FORM", "Access", "Ended", "Forward", "Need", "Refuse", "Request", "Site"]

Access = Literal["open", "quiet", "signed_in"]
Ended = Union[Reply, Forward, User, None]
Step = tuple[Callable[[Any], Any], Any]
Local = Optional[Mapping[str, Any]]
Admit: TypeAlias = "Callable[[Identity], Union[Local, Awaitable[Local]]]"
ErrorPage: TypeAlias = "Callable[[Problem], Union[str, Awaitable[str]]]"
Find: TypeAlias = "Callable[[ProviderQuery], Union[Optional[Provider], Awaitable[Optional[Provider]]]]"
SignedOut: TypeAlias = "Callable[[Identity], object]"
_Hook = TypeVar("_Hook", bound=Callable[..., Any])


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


class Site(SiteSettings):
    """A site whose people sign in: one for an application."""

    _site: WebSite

    def _made(
        self, settings: str, providers: Sequence[Provider], key: str | bytes | Key,
        old_keys: Sequence[str | bytes | Key], store: Store | None, network: Network | None,
    ) -> None:
        providers = listed("providers", providers)
        self._site = WebSite(settings, providers, key, listed("old_keys", old_keys), store, network)
        transport: Any = json.loads(settings).get("transport", "https")
        self.transport: Literal["https", "loopback_http"] = transport
        self.network = network
        self._admit: Admit | None = None
        self._error_page: ErrorPage | None = None
        self._signed_out: SignedOut | None = None
        self._find: Find | None = None
        self._store = store
        self._known: dict[str, Provider] = {one.id: one for one in providers}
        self._grants: dict[str, Sessions] = {}

    @classmethod
    def from_env(cls, *app: Any, environ: Mapping[str, str] | None = None, **settings_: Any) -> Self:
        """A site out of environment variables; each is an argument too.

        The client's variables are those of ``Client.from_env``: ``OAUTH_ISSUER`` or ``OAUTH_PROVIDER``,
        ``OAUTH_CLIENT_ID``, ``OAUTH_CLIENT_SECRET``. ``OAUTH_BASE_URL``, ``OAUTH_KEY``, and ``OAUTH_STORE``, a URL
        (``redis://``, ``postgres://``, ``sqlite:///path``, ``file:///folder``), are the site's, and
        ``OAUTH_TRANSPORT``, which is ``loopback_http`` for a site and a provider on this machine. ``scope`` and ``extra`` are
        those of ``Provider``. ``environment.missing`` names all variables that are needed and not set; what is wrong with
        one says which. The provider is asked for its metadata when somebody first signs in: until it answers, sign-ins are
        503 and every other page is there.
        """
        return cls(*app, **settings(environ, settings_))

    def admit(self, hook: _Hook) -> _Hook:
        """Has ``hook(identity)`` say whom to let in: it gives a dict to add to the session, or raises ``Refuse``.

        It is called at each sign-in, where requests are served, and may be a coroutine function where those are.
        """
        self._admit = hook
        return hook

    def error_page(self, hook: _Hook) -> _Hook:
        """Has ``hook(problem)`` make the page, in HTML, that tells a person what went wrong."""
        self._error_page = hook
        return hook

    def signed_out(self, hook: _Hook) -> _Hook:
        """Has ``hook(identity)`` called when a person signs out here."""
        self._signed_out = hook
        return hook

    def provider(self, hook: _Hook) -> _Hook:
        """Has ``hook(ask)`` look up the providers that are not in the settings (``lookup="asked"``): it gives a ``Provider``
        or None. It is asked at each request that needs one, so clients are kept at hand; it may be a coroutine function
        where ``admit`` may."""
        self._find = hook
        return hook

    def sessions(self, provider: str) -> Sessions:
        """The grants of everybody who signed in with this provider; ``web.setup`` without a store."""
        if self._store is None:
            raise misuse("web.setup", "sessions have tokens only where the site has a store")
        client = self.client_of(provider)
        if provider not in self._grants:
            self._grants[provider] = Sessions(client, self._store)
        return self._grants[provider]

    def client_of(self, provider: str) -> Client:
        """The client of a provider, which is asked for unless it is known."""
        if provider not in self._known and self._find:
            self._take(settled(self._find(ProviderQuery(id=provider))))
        if provider not in self._known:
            raise misuse("web.setup", "there is no provider of this name")
        if self._known[provider].client is None:
            self._driven(self._told(self._site.connect(provider), "resume"))
        client = self._known[provider].client
        if client is None:
            raise misuse("web.setup", "the client of this provider is not known")
        return cast("Client", client)

    async def look_up(self, provider: str) -> None:
        """Waits until a provider is known, and asks the hook for one that this process has not seen yet, such as that of
        a session from elsewhere."""
        if provider not in self._known and self._find:
            given: Any = self._find(ProviderQuery(id=provider))
            self._take(await given if hasattr(given, "__await__") else given)
        if provider in self._known and self._known[provider].client is None:
            await self._adriven(self._told(self._site.connect(provider), "aresume"))

    def _take(self, found: Provider | None) -> None:
        if found is not None:
            self._known[found.id] = found

    def end(self, user: User) -> None:
        """Ends a session and its grant, wherever it is used. One that lives in its cookie alone cannot be ended so."""
        self._driven(self._told(self._site.end(user.session), "resume"))

    async def aend(self, user: User) -> None:
        """end(), in a coroutine."""
        await self._adriven(self._told(self._site.end(user.session), "aresume"))

    def sign_out(self, request: Request) -> Reply:
        """Ends the session of a request, and its grant, for an application with a logout of its own.

        The ``set-cookie`` fields of the reply are to be sent with the application's response. The person stays signed in at
        the provider; a form that posts to ``/auth/logout`` ends that too.
        """
        _, host, target, headers, _ = request
        ended = self._driven(self._told(self._site.sign_out(host, target, headers), "resume"))
        return cast(Reply, ended)

    async def asign_out(self, request: Request) -> Reply:
        """sign_out(), in a coroutine."""
        _, host, target, headers, _ = request
        ended = await self._adriven(self._told(self._site.sign_out(host, target, headers), "aresume"))
        return cast(Reply, ended)

    def testing(self, identity: Mapping[str, Any], local: Local = None) -> Reply:
        """A reply that signs somebody in for a test: ``oauth_core.web.testing`` is the way to it."""
        who = {"provider": next(iter(self._known), None), **identity}

        def given(_: Identity) -> Local:
            return local

        admit = self._admit if local is None else given
        ended = self._driven(self._told(self._site.testing(json.dumps(who)), "resume", admit))
        return cast(Reply, ended)

    def reads_form(self, method: str, target: str) -> bool:
        """Whether the body of such a request is the site's; adapters read ``MAX_FORM`` bytes and one more of it."""
        return self._site.reads_form(method, target.partition("?")[0])

    def owns(self, target: str) -> bool:
        """Whether this is one of the site's own pages."""
        return self.reads_form("POST", target)

    def visit(self, request: Request, access: Access = "open", need: Need = NOTHING) -> Ended:
        """What to send; else it is the application's turn, with who is signed in."""
        ended: Ended = self._driven(self._visited(self._begin(request, access, need), "resume"))
        return ended

    def _driven(self, steps: Generator[Step, Any, Any]) -> Any:
        answer: Any = None
        while True:
            try:
                call, argument = steps.send(answer)
            except StopIteration as end:
                return end.value
            try:
                answer = settled(call(argument))
            except Refuse as refused:
                answer = refused

    async def avisit(self, request: Request, access: Access = "open", need: Need = NOTHING) -> Ended:
        """visit(), in a coroutine."""
        ended: Ended = await self._adriven(self._visited(self._begin(request, access, need), "aresume"))
        return ended

    async def _adriven(self, steps: Generator[Step, Any, Any]) -> Any:
        answer: Any = None
        while True:
            try:
                call, argument = steps.send(answer)
            except StopIteration as end:
                return end.value
            try:
                answer = call(argument)
                answer = await answer if hasattr(answer, "__await__") else answer
            except Refuse as refused:
                answer = refused

    def _begin(self, request: Request, access: Access, need: Need) -> Visit:
        acr, max_age, scope, tenant = need
        return self._site.begin(
            *request, access=access, acr=listed("acr", acr), max_age=max_age, scope=listed("scope", scope), tenant=tenant
        )

    def _told(self, visit: Visit, resume: str, admit: Admit | None = None) -> Generator[Step, Any, Any]:
        """What a visit ends in, once it was told what it asked of the application."""
        decide = admit or self._admit
        go_on = getattr(visit, resume)
        ended = yield lambda told: go_on(**told), {}
        while isinstance(ended, (ProviderQuery, Identity)):
            if isinstance(ended, ProviderQuery):
                found = (yield self._find, ended) if self._find else None
                self._take(found)
                told: dict[str, Any] = {"local": {}} if found is None else {"provider": found}
            else:
                told = _decided((yield decide, ended) if decide else None)
            ended = yield lambda told: go_on(**told), told
        return ended

    def _visited(self, visit: Visit, resume: str) -> Generator[Step, Any, Ended]:
        ended = yield from self._told(visit, resume)
        if isinstance(ended, Forward):
            return ended
        if not isinstance(ended, Reply):
            return User(self, ended) if ended else None
        who, problem = ended.signed_out, ended.problem
        if who and self._signed_out:
            yield self._signed_out, who
        if problem and self._error_page:
            return ended.with_page((yield self._error_page, problem))
        return ended

    def __repr__(self) -> str:
        return repr(self._site)


def _decided(answer: Any) -> dict[str, Any]:
    """What ``admit`` said, and nothing that could be read as either: a False lets nobody in."""
    if isinstance(answer, Refuse):
        return {"refused": str(answer)}
    local: Any = answer
    if answer is None or isinstance(answer, Mapping):
        return {"local": dict(local or {})}
    raise TypeError(f"admit gives a dict, None or a Refuse, and has given a {type(answer).__name__}: nobody is let in")


def is_over(user: User | None, error: BaseException) -> bool:
    """Whether what left a page says that the session of this request has ended."""
    return user is not None and user.is_over and isinstance(error, OAuthError) and error.advice == "reauthorize"


def somebody(ended: Ended) -> User:
    """Who is signed in, of a visit that is not passed on without anybody."""
    if isinstance(ended, User):
        return ended
    raise misuse("misuse.out_of_order", "the visit has not signed anybody in")
