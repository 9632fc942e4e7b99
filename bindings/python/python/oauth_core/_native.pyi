"""The native half; import its names from ``oauth_core``."""

import os
from collections.abc import Coroutine, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from types import GenericAlias, TracebackType
from typing import Any, Callable, ClassVar, Literal, TypedDict, TypeVar, final, overload

from typing_extensions import Self, TypeAlias, disjoint_base

from ._source import TokenSource
from .drive import Answer, Moment, Said, Step, Task
from .errors import ErrorCode, OAuthError
from .stores import KeySource, Store

__all__ = [
    "Api",
    "Call",
    "Client",
    "ClientAuth",
    "ClientSecretBasic",
    "ClientSecretPost",
    "Exchange",
    "Exchanges",
    "FINGERPRINT",
    "FileStore",
    "FixedToken",
    "Flow",
    "GrantSource",
    "Keeper",
    "Key",
    "Lease",
    "Listener",
    "Load",
    "Memory",
    "NativeStore",
    "Network",
    "PostgresStore",
    "Public",
    "RedisStore",
    "Renewal",
    "Resource",
    "Response",
    "Save",
    "Sealed",
    "Send",
    "Server",
    "Sessions",
    "Sign",
    "Sleep",
    "SqliteStore",
    "Tokens",
    "Turn",
    "__version__",
    "adiscover",
    "allow_pickling",
    "discover",
    "discover_exchange",
    "fixed_token",
    "provider",
    "provider_file",
    "providers",
]

FINGERPRINT: str
__version__: str

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Transport: TypeAlias = Literal["https", "loopback_http"]
_Hook: TypeAlias = Callable[[Tokens], object]
_Fields: TypeAlias = Iterable[tuple[str | bytes, str | bytes]]
_RateLimit: TypeAlias = Literal["error", "wait", "pass"]
_Names: TypeAlias = Sequence[str] | None
_Scope: TypeAlias = str | Iterable[str] | None
_Extra: TypeAlias = Mapping[str, str | Sequence[str]] | None
_Reuse: TypeAlias = Literal["unknown", "revokes", "tolerated"]
_Allowance: TypeAlias = Literal["documented"] | tuple[int, int]
_Place: TypeAlias = str | os.PathLike[str]
_Later: TypeAlias = Coroutine[Any, Any, _T]

def provider(
    name: str, *, options: Sequence[str] = ..., loopback: str | None = None, **variables: str
) -> Server:
    """A server by the name of its preset, with the preset's variables and options.

    options turns documented deviations on. loopback moves issuer, endpoints and API to a
    base such as "http://127.0.0.1:1234", for tests. provider.unknown for a name that
    providers() has not, provider.variable for a variable that is missing, unknown or not of
    its type.
    """
def provider_file(
    path_or_text: _Place, /, *, options: Sequence[str] = ..., loopback: str | None = None,
    **variables: str,
) -> Server:
    """A server by a provider file of your own: its TOML text, or a path to it.

    Otherwise as provider().

    A text of more than one line is the file itself. provider.data if it is not what the
    format describes, OSError if the path cannot be read.
    """
def providers() -> tuple[str, ...]:
    """The names of the presets."""
def allow_pickling() -> None:
    """Lets Tokens be pickled in this process, from now on.

    A pickle of tokens is a secret: see oauth_core.pickling.
    """
def fixed_token(
    token: str | None = None, *, env: str | None = None, file: _Place | None = None,
    callback: Callable[[], str] | None = None, origins: Sequence[str] | Server,
    expires_at: float | datetime | None = None, transport: _Transport = "https",
    network: Network | None = None,
) -> FixedToken:
    """One token that no grant brought: this text, or what env, file or callback says.

    env names an environment variable, file a path, and callback a function that gives the
    text; each is read anew whenever a token is asked for. origins is where the token may be
    sent: URLs, or a server with a preset. expires_at, a Unix time in seconds or an aware
    datetime, is when it is known to end. url.* for an origin that is none, TypeError unless
    exactly one place is given.
    """
def discover(
    issuer: str, *, transport: _Transport = "https", timeout: float | None = None,
    network: Network | None = None,
) -> Server:
    """Fetches the metadata of an issuer (RFC 8414, OpenID Connect Discovery).

    timeout is that of one request in seconds, 30 unless the network says otherwise.
    Untrusted metadata.issuer if the document is another issuer's, Malformed metadata.* if
    it is none, Denied if the server says no, Lost if no answer arrives, issuer.* for what
    cannot be an issuer.
    """
def adiscover(
    issuer: str, *, transport: _Transport = "https", timeout: float | None = None,
    network: Network | None = None,
) -> _Later[Server]:
    """discover(), in a coroutine."""
def discover_exchange(
    issuer: str, *, transport: _Transport = "https", moment: Moment | None = None
) -> Exchange[Server]:
    """discover() without a transport: an Exchange whose result is a Server.

    moment is for tests and replays: a callable that gives the Unix time in seconds and 32
    random bytes.
    """
@final
class Network:
    """Certificates, proxy and limits, of token requests and of calls to APIs alike.

    What is left out is the system's: its certificates (or those that SSL_CERT_FILE and
    SSL_CERT_DIR name), and the proxy that HTTPS_PROXY, ALL_PROXY and NO_PROXY name. Files
    are read once, here.

    ca is trusted beside the system's authorities, only_ca instead of them; they and
    client_certificate with its client_key (RFC 8705) are PEM texts or paths. proxy is a URL
    (http, https, socks5, socks5h) or "direct". Times are seconds: connect_timeout is 10,
    timeout of one request 30. At most in_flight_per_origin requests, 16, are under way to
    one origin. misuse.setup for what cannot be read.
    """
    def __new__(
        cls, *, ca: _Place | None = None, only_ca: _Place | None = None,
        client_certificate: _Place | None = None, client_key: _Place | None = None,
        proxy: str | None = None, connect_timeout: float | None = None,
        timeout: float | None = None, user_agent: str | None = None,
        in_flight_per_origin: int | None = None,
    ) -> Self: ...
@final
class Server:
    """One authorization server: from provider(), discover() or Server.from_metadata()."""
    @staticmethod
    def from_metadata(
        issuer: str, metadata: Mapping[str, Any] | str, *, transport: _Transport = "https"
    ) -> Server:
        """A server by a metadata document at hand (RFC 8414), as a mapping or as JSON text.

        Untrusted metadata.issuer if the document is another issuer's, Malformed metadata.* or
        reply.* if it is not what RFC 8414 section 2 describes. transport="loopback_http" allows plain http
        to a literal loopback address, for tests.
        """
    @property
    def issuer(self) -> str:
        """Who the server is: its issuer identifier, an https URL (RFC 8414 section 2)."""
    @property
    def metadata(self) -> dict[str, Any]:
        """What the server says about itself, endpoints included; a new dict each time."""
    @property
    def api_origins(self) -> tuple[str, ...]:
        """The origins of its API, if it came from a preset: where its tokens may be sent."""
    def api(
        self, *, app: TokenSource | None = None, user: TokenSource | None = None,
        origins: Sequence[str] | None = None, rate_limit: _RateLimit = "error",
        longest_wait: float = 300.0, allowance: _Allowance | None = None,
        on_wait: Callable[[float], object] | None = None, network: Network | None = None,
    ) -> Api:
        """This server's API for the application's tokens and a person's, each on its own routes.

        Each request gets the token of its route's owner, by the preset's rule; origins are
        where tokens may go instead of the preset's API. Requests go over network, or as those
        of the first source's client do. rate_limit, longest_wait (seconds), allowance and
        on_wait (called with seconds) are as for Api. url.* for an origin that is none.
        """

@disjoint_base
class ClientAuth:
    """How a client authenticates at the token endpoint (RFC 6749 section 2.3)."""
@final
class ClientSecretPost(ClientAuth):
    """client_secret_post: id and secret in the form (RFC 6749 section 2.3.1)."""
    def __new__(cls, secret: str, /) -> Self: ...
@final
class ClientSecretBasic(ClientAuth):
    """client_secret_basic: id and secret in the Authorization header (RFC 6749 section 2.3.1)."""
    def __new__(cls, secret: str, /) -> Self: ...
@final
class Public(ClientAuth):
    """A public client, which has no secret (RFC 6749 section 2.1)."""
    def __new__(cls) -> Self: ...

@disjoint_base
class Client:
    """The native half of oauth_core.Client."""
    @overload
    def __new__(
        cls, server: Server, *, client_id: str, client_secret: str | None = None,
        client_auth: None = None, redirect_uris: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None, timeout: float | None = None,
        network: Network | None = None,
    ) -> Self: ...
    @overload
    def __new__(
        cls, server: Server, *, client_id: str, client_secret: None = None,
        client_auth: ClientAuth, redirect_uris: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None, timeout: float | None = None,
        network: Network | None = None,
    ) -> Self: ...
    @property
    def server(self) -> Server:
        """The server this is a client of."""
    @property
    def client_id(self) -> str:
        """The client's identifier (RFC 6749 section 2.2)."""
    def authorize(
        self, *, redirect_uri: str, scope: _Scope = None,
        response_mode: Literal["query", "fragment", "form_post"] = "query", resource: _Names = None,
        audience: _Names = None, extra: Mapping[str, str] | None = None, token_extra: _Extra = None,
        moment: Moment | None = None,
    ) -> Flow:
        """Starts an authorization with PKCE: send the person to flow.url, and keep the flow.

        RFC 6749 section 4.1.1 and RFC 7636. response_mode says where the answer stands in the
        callback. resource and audience are asked for here and when the code is redeemed; extra
        are parameters of the provider's own in the URL, token_extra those of the request for
        the token.

        moment is for tests and replays: a callable that gives the Unix time in seconds and 32
        random bytes, out of which state, nonce and verifier are made. Never give two flows the
        same bytes.

        Nothing is sent. redirect_uri.*, scope.syntax, resource.syntax, form.* and pkce.* for
        what must not be asked, endpoint.missing for a server without such an endpoint.
        """
    def redeem(self, flow: Flow, callback_url: str) -> Tokens:
        """Judges the callback and redeems its code for tokens (RFC 6749 section 4.1.3).

        callback_url is the whole URL or its query. A callback with this flow's state spends the
        flow, whatever comes of it; any other is turned away with Untrusted callback.state, and
        the flow waits on. Untrusted callback.* (RFC 9207) and Malformed callback.* mean that
        nothing was sent; Denied is what the server, or the person, said no to; Lost, that no
        answer arrived; misuse.over, that the flow was redeemed before.
        """
    def aredeem(self, flow: Flow, callback_url: str) -> _Later[Tokens]:
        """redeem(), in a coroutine."""
    def client_credentials(
        self, *, scope: _Scope = None, resource: _Names = None, audience: _Names = None,
        extra: _Extra = None, store: Store | None = None, lease: float | None = None,
        on_tokens: _Hook | None = None,
    ) -> GrantSource:
        """Tokens for the client itself, fetched when first needed and kept fresh.

        RFC 6749 section 4.4.

        Nothing is sent yet. store, lease and on_tokens are as for source().
        """
    def source(
        self, tokens: Tokens | None = None, *, store: Store | None = None,
        subject: str | None = None, scope: _Scope = None, resource: _Names = None,
        audience: _Names = None, extra: _Extra = None, reuse: _Reuse | None = None,
        lease: float | None = None, on_tokens: _Hook | None = None,
    ) -> GrantSource:
        """Tokens of a person, kept fresh with their refresh token.

        They are from a login, or from the store.

        With a store, all who name the same subject, scope and parameters share one grant, and
        one of them renews it; without tokens it is read from there. reuse is what the server
        does with a refresh token that comes twice: "unknown", "revokes" or "tolerated". lease
        is for how many seconds one worker holds a renewal, 10 unless you say. on_tokens(tokens)
        is called with new tokens before any caller sees them, in a thread of the library; it
        must not wait for a token.

        grant.no_refresh_token and stored.* for tokens that cannot be kept fresh here; the rest
        token() raises.
        """
    def keeper(
        self, tokens: Tokens | None = None, *,
        grant_type: Literal["refresh_token", "client_credentials"] = "refresh_token",
        shared: bool = True, subject: str | None = None, scope: _Scope = None,
        resource: _Names = None, audience: _Names = None, extra: _Extra = None,
        reuse: _Reuse | None = None,
        lease: float | None = None, longest_request: float | None = None,
        moment: Moment | None = None,
    ) -> Keeper:
        """One grant, kept fresh by a driver of yours: source() without transport and store.

        grant_type is refresh_token, for tokens of a person: these, or what a store has of them;
        or client_credentials. A keeper that is not shared asks for no store. longest_request is
        how many seconds a token request of yours can take at most, 30 unless you say: after
        that, and a lease, another worker may send the refresh token again. moment is for tests
        and replays, as in exchange.
        """

@final
class Flow:
    """An authorization under way: state, nonce and verifier inside. It can be redeemed once.

    It holds secrets, so it cannot be pickled: store the text of to_json() in the person's
    session.
    """
    @property
    def url(self) -> str:
        """Where to send the person (RFC 6749 section 4.1.1).

        A flow that was stored has been sent already, and has none: AttributeError.
        """
    @property
    def issuer(self) -> str:
        """The issuer the person is sent to."""
    @property
    def state(self) -> str:
        """The key to find this flow by when several wait in one session.

        RFC 6749 section 10.12.
        """
    @property
    def redirect_uri(self) -> str:
        """Where the callback must come to."""
    @property
    def started_at(self) -> datetime:
        """When the flow began, in UTC, for whoever lets old ones lapse."""
    def recognises(self, callback_url: str) -> bool:
        """Whether a callback carries this flow's state.

        False for any other, and once the flow has been redeemed. callback_url is the whole URL
        or its query.
        """
    def to_json(self) -> str:
        """What to keep until the callback, in the person's session. It holds secrets.

        misuse.over once the flow has been redeemed.
        """
    @staticmethod
    def from_json(text: str) -> Flow:
        """Reads what to_json() wrote; stored.malformed for anything else."""
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Listener:
    """Waits on a loopback address for one callback (RFC 8252 section 7.3).

    At this port or a free one, and this path or /callback; or where redirect_uri leads,
    which is registered as a whole. misuse.setup if the port is taken, redirect_uri.refused
    for an address that is not loopback, TypeError for a redirect_uri with a port or path
    beside it.
    """
    def __new__(
        cls, *, port: int = 0, path: str | None = None, redirect_uri: str | None = None
    ) -> Self: ...
    @property
    def redirect_uri(self) -> str:
        """Where the callback must come to: give it to authorize()."""
    def paste(self, flow: Flow, text: str) -> bool:
        """Hands over the address at which a browser ended that cannot reach this listener.

        A person pasted it, whole or its query. Whether it is a callback of this flow, and
        somebody waits for it. misuse.over once the flow has been redeemed.
        """
    def callback(self, flow: Flow, *, timeout: float = 300.0) -> str:
        """Waits for the callback of this flow, and gives back its URL.

        timeout is in seconds; lost.timeout when it has run out. A callback of another flow is
        answered with an error page, and the wait goes on. A listener waits once, then
        misuse.over.
        """
    def acallback(self, flow: Flow, *, timeout: float = 300.0) -> _Later[str]:
        """callback(), in a coroutine."""

@final
class Tokens:
    """The tokens of one grant, bound to the server and client they belong to.

    They do not change. Equal are those of which the same is stored. repr shows no token;
    they can be copied, and pickled only after oauth_core.pickling.allow().
    """
    @staticmethod
    def bearer(access_token: str, *, expires_at: float | datetime | None = None) -> Tokens:
        """A bearer token by itself, for sources of your own and for tests.

        It belongs to no client.

        expires_at is a Unix time in seconds or an aware datetime; ValueError for a datetime
        without a zone.
        """
    @property
    def access_token(self) -> str:
        """The access token; opaque to the client (RFC 6749 section 1.4)."""
    @property
    def token_type(self) -> str:
        """"Bearer" (RFC 6750) or "DPoP" (RFC 9449)."""
    @property
    def expires_in(self) -> int | None:
        """The lifetime in seconds, counted from received_at, if the server named one."""
    @property
    def expires_at(self) -> datetime | None:
        """When the access token ends, in UTC, if the server named a lifetime."""
    @property
    def received_at(self) -> datetime:
        """When the reply arrived, in UTC; 1970 for those of bearer()."""
    @property
    def scope(self) -> frozenset[str]:
        """What was granted: as the server said, or as was asked for where it said nothing.

        RFC 6749 section 5.1.
        """
    @property
    def refresh_token(self) -> str | None:
        """The refresh token: a new one, or on refresh the old one where the server sent none.

        RFC 6749 section 6. None if there never was one.
        """
    @property
    def id_token(self) -> str | None:
        """The ID Token as it came: unverified, so of no use but to be verified.

        OpenID Connect Core section 3.1.3.7 says how.
        """
    @property
    def extra(self) -> dict[str, Any]:
        """Members of the reply that OAuth does not define; a new dict each time."""
    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd about the reply, as stable names such as "malformed_expires_in"."""
    @property
    def issuer(self) -> str:
        """The issuer whose tokens these are; empty for those of bearer()."""
    @property
    def client_id(self) -> str:
        """The client the tokens were issued to; empty for those of bearer()."""
    def to_json(self) -> str:
        """Everything needed to go on after a restart. Store it where secrets belong."""
    @staticmethod
    def from_json(text: str) -> Tokens:
        """Reads what to_json() wrote; stored.malformed for anything else."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class GrantSource:
    """One grant, kept fresh: one token request, however many threads and tasks wait for it.

    From client.source(), client.client_credentials() or sessions.get(). A token near its
    end is handed out while the next is fetched beside. Use it in a with or async with
    block, or end it with close(): a renewal under way is then finished and stored before
    the program goes on.
    """
    def token(self, *, timeout: float | None = None) -> Tokens:
        """Tokens that are fresh now: those at hand, or new ones.

        timeout is how many seconds this caller waits, for ever unless it is given: then
        lost.timeout. The renewal goes on for the others and for whoever asks next; nothing is
        lost by it. Denied, with the advice "reauthorize" once the grant is over; Lost;
        grant.no_refresh_token, grant.outcome_unknown; RuntimeError in an on_tokens hook, which
        would wait for itself.
        """
    def atoken(self, *, timeout: float | None = None) -> _Later[Tokens]:
        """token(), in a coroutine."""
    def renew(self, tokens: Tokens, *, timeout: float | None = None) -> Tokens:
        """Tokens to take the place of those a resource server refused.

        Without a request if another caller has replaced them already. timeout and errors are
        those of token().
        """
    def arenew(self, tokens: Tokens, *, timeout: float | None = None) -> _Later[Tokens]:
        """renew(), in a coroutine."""
    def invalidate(self, tokens: Tokens) -> None:
        """Forgets exactly these tokens, for callers who want no others now."""
    def log_in(self, tokens: Tokens) -> None:
        """Takes the tokens of a new login in place of whatever was there, and stores them.

        Lost and store errors if that was not done; stored.issuer for tokens of another server
        or client.
        """
    def alog_in(self, tokens: Tokens) -> _Later[None]:
        """log_in(), in a coroutine."""
    def drain(self, *, timeout: float = 10.0) -> None:
        """Ends this source in good order, before the program ends.

        No new renewal begins, one that was sent is finished, and what it has brought is stored.
        A token at hand is handed out until it is over; after that, lost.unsent. lost.timeout if
        that has not been done within timeout, in seconds. The interpreter does the same for all
        sources when it ends, for 5 s.
        """
    def adrain(self, *, timeout: float = 10.0) -> _Later[None]:
        """drain(), in a coroutine."""
    @property
    def key(self) -> str | None:
        """The name of the record in the store; None without one."""
    @property
    def on_tokens(self) -> _Hook | None:
        """What is called with new tokens before anyone else sees them."""
    def resource(self, origins: Sequence[str] | None = None) -> Resource:
        """Where these tokens may be sent: these origins, or those of the server's preset.

        For plug-ins. url.* for an origin that is none.
        """
    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, origins: Sequence[str] | None = None,
        timeout: float | None = None, rate_limit: _RateLimit | None = None,
        longest_wait: float | None = None,
    ) -> Response:
        """Sends a request with the token, renewed once after a 401; the reply is read whole.

        origins are where the token may go, by default the preset's API. Only the API's origins
        get the token (resource.origin_not_allowed), over the Authorization header (RFC 6750
        section 2.1). A redirect within the origin is followed. content is a body; json is any
        value that json.dumps takes, sent as application/json. timeout is in seconds, for the
        head of the reply and again for its body. rate_limit is what is done where the API asks
        for a pause: "error" raises resource.rate_limited, "wait" waits for up to longest_wait
        seconds, "pass" hands the reply back. A status of 400 or above is no error by itself:
        see Response.raise_for_status(). Denied, Lost and the errors of token().
        """
    def arequest(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, origins: Sequence[str] | None = None,
        timeout: float | None = None, rate_limit: _RateLimit | None = None,
        longest_wait: float | None = None,
    ) -> _Later[Response]:
        """request(), in a coroutine."""
    def close(self) -> None:
        """drain(), as the end of a with or async with block does it.

        lost.timeout if that has not been done within 10 s. A source that Sessions.get() gave
        belongs to the sessions: it is only let go of, and its grant is kept fresh for the
        others.
        """
    def aclose(self) -> _Later[None]:
        """close(), in a coroutine for asyncio."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None, /,
    ) -> None: ...
    def __aenter__(self) -> _Later[Self]: ...
    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None, /,
    ) -> _Later[None]: ...
    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """request("GET", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def aget(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """get(), in a coroutine for asyncio."""
    def delete(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """request("DELETE", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def adelete(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """delete(), in a coroutine for asyncio."""
    def post(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """request("POST", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def apost(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """post(), in a coroutine for asyncio."""
    def put(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """request("PUT", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def aput(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """put(), in a coroutine for asyncio."""
    def patch(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """request("PATCH", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def apatch(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """patch(), in a coroutine for asyncio."""

class _Grant(TypedDict):
    subject: str | None
    scope: str
    resource: list[str]
    audience: list[str]
    granted: str | None
    expires_at: datetime | None
    has_refresh_token: bool
    ended: ErrorCode | None

_Failed: TypeAlias = list[tuple[str, ErrorCode]]
_Page: TypeAlias = tuple[list[_Grant], _Failed, str | None]

@final
class Sessions:
    """The grants of a client: one for each person its store knows, and the client's own.

    Each costs memory while somebody uses it only. Beyond capacity, those that nobody uses
    are dropped, and read from the store when they are asked for again. reuse and lease
    (seconds) are those of client.source(). At most per_second renewals begin in a second, 0
    is no limit. on_renewed(subject, tokens) and on_ended(subject, error) are called in a
    thread of the library. Use it in a with or async with block, or end it with close().
    """
    def __new__(
        cls, client: Client, store: Store, *, reuse: _Reuse | None = None,
        lease: float | None = None, capacity: int = 10_000, per_second: int = 0,
        on_renewed: Callable[[str | None, Tokens], object] | None = None,
        on_ended: Callable[[str | None, OAuthError], object] | None = None,
    ) -> Self: ...
    def get(
        self, subject: str | None = None, *, scope: _Scope = None, resource: _Names = None,
        audience: _Names = None, extra: _Extra = None,
    ) -> GrantSource:
        """The source of one grant: this person's, or the client's own if subject is None.

        All who get the same grant share its renewals. Nothing is read yet. scope.syntax,
        resource.syntax, form.reserved_parameter for what cannot be asked for.
        """
    def log_in(
        self, subject: str, tokens: Tokens, *, scope: _Scope = None, resource: _Names = None,
        audience: _Names = None, extra: _Extra = None,
    ) -> None:
        """Takes the tokens of a new login, and stores them in the place of what is there.

        stored.issuer for tokens of another server or client; the errors of the store.
        """
    def alog_in(
        self, subject: str, tokens: Tokens, *, scope: _Scope = None, resource: _Names = None,
        audience: _Names = None, extra: _Extra = None,
    ) -> _Later[None]:
        """log_in(), in a coroutine."""
    def log_out(
        self, subject: str | None, *, scope: _Scope = None, resource: _Names = None,
        audience: _Names = None, extra: _Extra = None,
    ) -> None:
        """Ends a grant: asks the server to forget the tokens (RFC 7009), and removes the record.

        A renewal under way is waited for first. If the server could not be asked, that is
        raised, and the record is removed all the same. RuntimeError in a hook.
        """
    def alog_out(
        self, subject: str | None, *, scope: _Scope = None, resource: _Names = None,
        audience: _Names = None, extra: _Extra = None,
    ) -> _Later[None]:
        """log_out(), in a coroutine."""
    def list(self, cursor: str | None = None) -> _Page:
        """A page of what the store has of this client: grants, unreadable records, a cursor.

        Each grant is a dict of what may be shown, without a token. Of unreadable records there
        are the keys, with the codes of their errors. The cursor is None at the end.
        misuse.not_supported for a store without scan().
        """
    def alist(self, cursor: str | None = None) -> _Later[_Page]:
        """list(), in a coroutine."""
    def renew_idle(self, unused: float, /) -> tuple[int, _Failed]:
        """Renews what nobody has used for so many seconds, for refresh tokens die unused.

        How many were renewed, and the keys of those that could not be, with the codes of their
        errors. Call it now and then, from any number of workers. misuse.not_supported for a
        store without due().
        """
    def arenew_idle(self, unused: float, /) -> _Later[tuple[int, _Failed]]:
        """renew_idle(), in a coroutine."""
    def drain(self, *, timeout: float = 10.0) -> None:
        """Ends all of them in good order, as GrantSource.drain(); timeout in seconds."""
    def adrain(self, *, timeout: float = 10.0) -> _Later[None]:
        """drain(), in a coroutine."""
    def close(self) -> None:
        """drain(), as the end of a with or async with block does it.

        lost.timeout if that has not been done within 10 s.
        """
    def aclose(self) -> _Later[None]:
        """close(), in a coroutine for asyncio."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None, /,
    ) -> None: ...
    def __aenter__(self) -> _Later[Self]: ...
    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None, /,
    ) -> _Later[None]: ...
    @property
    def counters(self) -> dict[str, int]:
        """How often what has happened to the grants of this process, from zero on.

        The names are renewed, waits, failed, suspect, ended, unsaved, stored_late and
        lease_lost.
        """
    @property
    def in_memory(self) -> int:
        """How many are in the memory of this process."""

@disjoint_base
class Api:
    """An API: where tokens may be sent, whose token a route gets, and what limits it has.

    This is the one of a single source, for limits; Server.api() makes one of two owners.
    rate_limit is what is done where the API asks for a pause (429, or 503 with
    Retry-After): "error" raises resource.rate_limited, "wait" waits for up to longest_wait
    seconds and calls on_wait(seconds) before, "pass" hands the reply back. allowance is
    kept to before the API says no: (requests, seconds), or "documented" for what the preset
    knows. url.* for an origin that is none.
    """
    def __new__(
        cls, source: TokenSource, *, origins: Sequence[str] | None = None,
        rate_limit: _RateLimit = "error", longest_wait: float = 300.0,
        allowance: _Allowance | None = None, on_wait: Callable[[float], object] | None = None,
        transport: _Transport = "https", network: Network | None = None,
    ) -> Self: ...
    def owner(self, url: str) -> Literal["application", "user", "any"]:
        """Whose token a request to this URL gets: "application", "user" or "any".

        resource.origin_not_allowed, resource.owner_missing or resource.route_ambiguous where
        none is sent.
        """
    def call(
        self, method: str, url: str, headers: _Fields, body: bytes | None, once: bool
    ) -> Call:
        """The steps of one request, for a plug-in.

        headers are pairs of names and values. once says that the body cannot be sent a second
        time.
        """
    def waits(self, seconds: float) -> None:
        """Tells the hook of a pause in seconds, for a plug-in that waits."""
    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """Sends a request with its route's token, renewed once after a 401.

        The reply is read whole. timeout, rate_limit and longest_wait are this API's unless they
        are given. resource.owner_missing and resource.route_ambiguous where it cannot be told
        whose token is needed. Only the API's origins get the token
        (resource.origin_not_allowed), over the Authorization header (RFC 6750 section 2.1). A
        redirect within the origin is followed. content is a body; json is any value that
        json.dumps takes, sent as application/json. timeout is in seconds, for the head of the
        reply and again for its body. rate_limit is what is done where the API asks for a pause:
        "error" raises resource.rate_limited, "wait" waits for up to longest_wait seconds,
        "pass" hands the reply back. A status of 400 or above is no error by itself: see
        Response.raise_for_status(). Denied, Lost and the errors of token().
        """
    def arequest(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """request(), in a coroutine."""
    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        timeout: float | None = None, rate_limit: _RateLimit | None = None,
        longest_wait: float | None = None,
    ) -> Response:
        """request("GET", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def aget(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        timeout: float | None = None, rate_limit: _RateLimit | None = None,
        longest_wait: float | None = None,
    ) -> _Later[Response]:
        """get(), in a coroutine for asyncio."""
    def delete(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        timeout: float | None = None, rate_limit: _RateLimit | None = None,
        longest_wait: float | None = None,
    ) -> Response:
        """request("DELETE", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def adelete(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        timeout: float | None = None, rate_limit: _RateLimit | None = None,
        longest_wait: float | None = None,
    ) -> _Later[Response]:
        """delete(), in a coroutine for asyncio."""
    def post(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """request("POST", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def apost(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """post(), in a coroutine for asyncio."""
    def put(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """request("PUT", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def aput(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """put(), in a coroutine for asyncio."""
    def patch(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response:
        """request("PATCH", url): the reply, with the same keywords and errors.

        A status of 400 or above is no error by itself: see Response.raise_for_status().
        """
    def apatch(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, json: Any = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]:
        """patch(), in a coroutine for asyncio."""

@final
class FixedToken(Api):
    """One token that no grant brought, never renewed: a source, and an API of its origins.

    From fixed_token(). A 401 about it is grant.revoked, with the advice "reauthorize".
    """
    def token(self, *, timeout: float | None = None) -> Tokens:
        """The token that is there now.

        token.unreadable where there is none, grant.expired after its end; what a callback
        raises comes out as it is. timeout is how many seconds this caller waits, for ever
        unless it is given: then lost.timeout.
        """
    def atoken(self, *, timeout: float | None = None) -> _Later[Tokens]:
        """token(), in a coroutine."""
    def renew(self, tokens: Tokens, *, timeout: float | None = None) -> Tokens:
        """The token that is there now; grant.revoked if it is this one still.

        timeout and the other errors are those of token().
        """
    def arenew(self, tokens: Tokens, *, timeout: float | None = None) -> _Later[Tokens]:
        """renew(), in a coroutine."""
    def invalidate(self, tokens: Tokens) -> None:
        """Forgets nothing: what stands there is asked about again."""
    def resource(self) -> Resource:
        """Where the token may be sent. For plug-ins."""
@final
class Call:
    """The steps of one request: pairs of a name and a value. For plug-ins.

    ("wait", seconds), ("token", source), ("renew", source), ("send", the Authorization
    header's value), ("done", None) or ("refused", source). What has its token at hand is
    never asked for it.
    """
    def begin(self) -> tuple[str, Any]:
        """The first step. resource.* and url.* where the request must not be sent."""
    def elapsed(self) -> tuple[str, Any]:
        """The step after a pause has been waited for."""
    def token(self, tokens: Tokens) -> tuple[str, Any]:
        """The step after a source gave these tokens."""
    def reply(self, status: int, headers: _Fields) -> tuple[str, Any]:
        """The step after a reply came, by its status and headers (pairs of names and values).

        resource.rate_limited where the API asks for a pause that is not waited for.
        """
    @property
    def tokens(self) -> Tokens | None:
        """The token that was sent last; None before that."""

@final
class Response:
    """A resource server's reply, read whole."""
    @property
    def status(self) -> int:
        """The HTTP status, such as 200."""
    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case; several of one name are joined by a comma."""
    @property
    def content(self) -> bytes:
        """The body as bytes."""
    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
    @property
    def retry_after(self) -> float | None:
        """The seconds the server asks to wait (Retry-After, X-RateLimit-Reset); at most 300."""
    def json(self) -> Any:
        """The body, parsed by json.loads; ValueError if it is no JSON."""
    def raise_for_status(self) -> Self:
        """Raises Denied if the status is 400 or above; otherwise gives this reply back.

        The error's code is denied.http_status, or denied.busy where the status asks to come
        back (408, 429, 500, 502, 503, 504), or what a Bearer challenge names, such as
        denied.insufficient_scope (RFC 6750 section 3.1). It has the status and the pause that
        was asked for, and nothing of the body. A redirect that leaves the API's origin is
        handed back as it is, and is no error here.
        """

@final
class Resource:
    """The origins a token may be sent to. For plug-ins."""
    def authorization(
        self, tokens: Tokens, url: str, headers: _Fields, body: bytes | None = None
    ) -> str:
        """The value of the Authorization header for this request, if it may carry the token.

        RFC 6750 section 2.1. headers are pairs of names and values.
        resource.origin_not_allowed, token.in_query, token.more_than_one_method,
        token.not_token68 and url.* if it may not.
        """
    @staticmethod
    def may_be_about_the_token(status: int) -> bool:
        """Whether a reply of this status can be about the token.

        If not, its verdict is "pass", whatever the headers are.
        """
    @staticmethod
    def verdict(
        status: int, headers: _Fields
    ) -> Literal["pass", "renew", "widen_scope", "step_up", "refused"]:
        """What a reply asks for: "pass", "renew", "widen_scope", "step_up" or "refused".

        RFC 6750 section 3.1 and RFC 9470 section 3. headers are pairs of names and values.
        """

@final
class Exchange(Generator[Step, Answer, _T_co]):
    """One conversation: a generator of steps. Its result is the value of StopIteration.

    Each step is a Send, a Sleep or a Sign. It opens no socket: oauth_core.drive runs one
    over an HTTP client of yours, or you do. misuse.over after its end.
    """
    # What `yield from` needs to know its value; at run time it is the exchange itself.
    def __iter__(self) -> Generator[Step, Answer, _T_co]: ...
    def __next__(self) -> Step: ...
    def send(self, answer: Answer, /) -> Step:
        """Answers the step before: (status, headers, body) for a Send, None after a Sleep.

        For a Sign, the signature's bytes. headers are pairs of names and values, each str or
        bytes; of the body 1 MiB is taken. Raises the errors of the conversation;
        misuse.out_of_order for another answer.
        """
    @overload
    def throw(
        self, typ: type[BaseException], val: BaseException | object = None,
        tb: TracebackType | None = None, /,
    ) -> Step:
        """Says that no answer arrived; a ConnectionRefusedError, that nothing was sent either.

        What it came of is looked at too: why there is no answer, and whether anything can have been
        sent. What is no ordinary exception ends the conversation.
        """
    @overload
    def throw(
        self, typ: BaseException, val: None = None, tb: TracebackType | None = None, /
    ) -> Step: ...
    def close(self) -> None:
        """Ends the conversation."""
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...

@disjoint_base
class Exchanges:
    """The native half of oauth_core.Exchanges."""
    def __new__(cls, client: Client, /) -> Self: ...
    def redeem(
        self, flow: Flow, callback_url: str, *, moment: Moment | None = None
    ) -> Exchange[Tokens]:
        """Judges the callback and redeems its code (RFC 6749 section 4.1.3)."""
@final
class Send:
    """Send this once, following no redirect."""
    @property
    def method(self) -> str:
        """GET or POST."""
    @property
    def url(self) -> str:
        """The whole URL."""
    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Pairs of name and value, names in lower case. They may hold secrets."""
    @property
    def body(self) -> bytes:
        """The body; empty for none. It may hold secrets."""
@final
class Sleep:
    """Wait so many seconds. Made by hand, it is for tests of a driver of yours."""
    def __new__(cls, seconds: float, /) -> Self: ...
    @property
    def seconds(self) -> float:
        """How long, in seconds."""
@final
class Sign:
    """Sign this with a key of yours (RFC 7515 section 5.1)."""
    @property
    def key_id(self) -> str:
        """Your name for the key."""
    @property
    def alg(self) -> str:
        """The JWS algorithm, such as ES256 (RFC 7518 section 3.1)."""
    @property
    def signing_input(self) -> bytes:
        """The bytes to sign. For ES256 the signature is r and s, 32 bytes each."""

@final
class Keeper:
    """One grant, kept fresh by a driver of yours. It opens no socket and asks no store.

    After a turn that says "renew" or "hand_out_and_renew", run a renewal() once, to its
    end; or abandon().
    """
    @property
    def key(self) -> str:
        """The name of the record in a store."""
    @property
    def tokens(self) -> Tokens | None:
        """The newest tokens there are, good or not."""
    @property
    def is_stored(self) -> bool:
        """Whether the store has the newest tokens."""
    @property
    def trouble(self) -> OAuthError | None:
        """Why the last renewal failed, if it did.

        Callers do not hear of it while their token lives.
        """
    @property
    def lease_extension(self) -> tuple[str, float, float] | None:
        """The lease to take anew while the Exchange of a renewal runs; None if none is held.

        Its holder, for how many seconds to take it, and how many seconds to wait before each
        time.
        """
    def ask(self, refused: Tokens | None = None) -> Turn:
        """One caller asks for a token, knowing perhaps of one that a resource server refused.

        Raises what the last renewal failed with while its pause is kept, and the end of the
        grant.
        """
    def renewal(self) -> Renewal:
        """The renewal a turn asked for: run it once, to its end."""
    def refuse(self, tokens: Tokens) -> None:
        """Forgets exactly these tokens."""
    def replace(self, tokens: Tokens) -> None:
        """Takes the tokens of a new login; the next renewal stores them.

        stored.issuer for tokens of another server or client.
        """
    def learn(self, version: int, record: str) -> None:
        """Takes over a record that the store told of by itself.

        stored.malformed, stored.grant or stored.issuer for one that is none of this grant.
        """
    def abandon(self) -> None:
        """Gives up the renewal under way, or the one a turn asked for."""
@final
class Turn:
    """What a caller is to do."""
    @property
    def kind(self) -> Literal["hand_out", "hand_out_and_renew", "renew", "follow"]:
        """hand_out, hand_out_and_renew, renew, or follow: wait for the one who renews."""
    @property
    def tokens(self) -> Tokens | None:
        """What is handed out, if anything is."""

@final
class Renewal(Generator[Task, Said, Tokens]):
    """One renewal: a generator of tasks. Its result, of StopIteration, is the tokens.

    It is for everyone who waited, and so is its error. Each task is a Load, Lease, Save,
    Sleep or Exchange.
    """
    def __iter__(self) -> Generator[Task, Said, Tokens]: ...
    def __next__(self) -> Task: ...
    def send(self, answer: Said, /) -> Task:
        """Answers the task before, as the methods of a store do.

        (version, record) or None for a Load, the seconds another holds it or None for a Lease,
        the new version or None for a Save. After an Exchange was run, and after a Sleep, None.
        misuse.over after its end.
        """
    @overload
    def throw(
        self, typ: type[BaseException], val: BaseException | object = None,
        tb: TracebackType | None = None, /,
    ) -> Task:
        """Says that the store gave no answer, or that the exchange failed or was dropped.

        What is no ordinary exception, or comes at another time, ends the renewal.
        """
    @overload
    def throw(
        self, typ: BaseException, val: None = None, tb: TracebackType | None = None, /
    ) -> Task: ...
    def close(self) -> None:
        """Gives the renewal up."""
@final
class Load:
    """Read the record; then send (version, record), or None.

    Made by hand, it is for tests of a driver of yours.
    """
    def __new__(cls) -> Self: ...
@final
class Lease:
    """Take the lease, or for 0 seconds give it back.

    Then send the seconds another holds it, or None. Made by hand, it is for tests of a
    driver of yours.
    """
    def __new__(cls, holder: str, seconds: float, /) -> Self: ...
    @property
    def holder(self) -> str:
        """In this name."""
    @property
    def seconds(self) -> float:
        """For so many seconds."""
@final
class Save:
    """Save the record if it is at this version; then send the new version, or None.

    Version 0 is for none.

    due is a Unix time in seconds or an aware datetime. Made by hand, it is for tests of a
    driver of yours.
    """
    def __new__(cls, record: str, version: int, /, due: float | datetime | None = None) -> Self: ...
    @property
    def record(self) -> str:
        """What to save: a secret."""
    @property
    def version(self) -> int:
        """The version it replaces; 0 if there is no record yet."""
    @property
    def due(self) -> datetime | None:
        """When it wants to be renewed, in UTC, for a store that can find records by that."""

@disjoint_base
class NativeStore:
    """A store of ours: its verbs, which block without Python's lock.

    Each is one step that no other worker comes between. Lost if the store cannot be
    reached: nobody knows then whether it was done.
    """
    def load(self, key: str, /) -> tuple[int, str] | None:
        """The version of the record and the record, a secret; None if there is none."""
    def save(
        self, key: str, record: str, version: int, /, due: float | datetime | None = None
    ) -> int | None:
        """Saves the record if it is still at this version: the new version, or None.

        Version 0 is for a key that has none. due is when somebody should renew it, as a Unix
        time in seconds or an aware datetime, for due().
        """
    def lease(self, key: str, holder: str, seconds: float, /) -> float | None:
        """Takes the lease in this name for so many seconds, or for 0 gives it back.

        For how many seconds another holds it, or None if it is ours.
        """
    def remove(self, key: str, /) -> bool:
        """Removes a record and its lease, whatever is in them; whether there was one."""
    def scan(self, cursor: str | None = None, /) -> tuple[list[str], str | None]:
        """The keys of some records, and what to call it with for the next: None after the last.

        A key may come twice.
        """
    def due(self, before: float | datetime, limit: int, /) -> list[str]:
        """The keys of up to limit records that were due before this time, the longest due first.

        before is a Unix time in seconds or an aware datetime.
        """

@final
class FileStore(NativeStore):
    """Records in a folder, for the processes of one person on one machine.

    Each is a file that only its owner may read, replaced as a whole: a process killed
    anywhere leaves the old record or the new one. A record that is cut or something else is
    stored.malformed; a folder that others may write to is misuse.setup. Use a local file
    system.

    The folder is made (0700) if it is not there. access="group" shares it with the group it
    has, whose members may read and remove every record: files are 0660, the folder 2770, as
    of a volume that containers share with fsGroup. A process that is not in the group, and
    whatever all may read or write, is misuse.setup.
    """
    def __new__(
        cls, path: str | os.PathLike[str], /, *, access: Literal["owner", "group"] = "owner"
    ) -> Self: ...
    def keys(self) -> list[str]:
        """The keys of all records, sorted; no record is read."""

@final
class SqliteStore(NativeStore):
    """Records in a SQLite database, for the processes of one person on one machine.

    As FileStore, and better where there are many grants. The file is private (0600);
    another's file, a folder that others may write to, and a link are misuse.setup. Use a
    local file system. The file is made if it is not there, and its folder (0700) too.
    access="group" is as for FileStore.
    """
    def __new__(
        cls, path: str | os.PathLike[str], /, *, access: Literal["owner", "group"] = "owner"
    ) -> Self: ...

@final
class Memory(NativeStore):
    """Records in the memory of this process, for all its threads and tasks.

    For tests, and where tokens need not outlive the process. A forked child begins with a
    copy, which is its own.
    """
    def __new__(cls) -> Self: ...

@final
class RedisStore(NativeStore):
    """Records in Redis 5 or newer, for machines that share a server.

    redis://user:password@host:6379/0,
    redis+sentinel://user:password@host:26379,host/primary/0 or
    redis+cluster://user:password@host:6379,host; rediss for TLS. Nothing is connected
    before it is needed. timeout, in seconds, is for a connection, and again for an answer.
    prefix stands before every key. With replicas, a record counts as saved once so many
    have it too.

    A record is as safe as the server: turn appendonly on, and see that memory is no reason
    to evict.
    """
    def __new__(
        cls, url: str, /, *, prefix: str = "oauth-core:grant:", timeout: float = 5.0,
        replicas: int = 0,
    ) -> Self: ...

@final
class PostgresStore(NativeStore):
    """Records in a table of PostgreSQL 9.6 or newer, for machines that share a server.

    postgres://user:password@host/database; with sslmode=require nothing is sent without
    TLS, which else is used if the server offers it. Nothing is connected before it is
    needed. timeout, in seconds, is for a connection, and again for an answer. Each verb is
    one statement, so a pooler between is no hindrance. A record is as safe as the server.
    """
    SCHEMA: ClassVar[str]
    def __new__(cls, url: str, /, *, timeout: float = 5.0) -> Self: ...
    def migrate(self) -> None:
        """Makes the table of the records, unless it is there."""
    def amigrate(self) -> _Later[None]:
        """migrate(), in a coroutine."""

@final
class Key:
    """A key to seal with. It shows its id, and nothing else.

    32 random bytes, or their text in base64url without padding, of 43 characters;
    misuse.setup otherwise.
    """
    def __new__(cls, key: bytes | str | Key, /) -> Self: ...
    @staticmethod
    def from_keyring(
        folder: str | os.PathLike[str], /, *, service: str = "oauth-core", name: str = "seal"
    ) -> Key:
        """The key that the operating system's keyring has, made by whoever comes first.

        It has it for this service under this name. folder is where those who come at once wait
        for each other, and holds no secret: it is made (0700) if it is not there, and all must
        name the same. misuse.setup if no keyring can be reached; one that is locked may ask the
        person, and is waited for.
        """
    @property
    def id(self) -> str:
        """Its name, which says nothing about it."""

@final
class Sealed(NativeStore):
    """A store whose records only the holder of a key can read, or change unnoticed.

    Versions, leases and when a grant is due are not hidden, and names only with names=.
    Whoever can write to the store can put an older record back. A record that cannot be
    opened is stored.sealed: its key is not given, it was changed or moved, or it was never
    sealed; a new login takes its place.

    It seals and opens with key, and opens with the old ones too: a Key, 32 random bytes,
    their text in base64url without padding, of 43 characters, or a KeySource that is asked
    for keys. What an old key opened is sealed anew when it is saved next, or by reseal().
    names is a key that hides names, in a store that has no records yet; plain="accept"
    reads records that were never sealed.
    """
    def __new__(
        cls, store: Store, key: bytes | str | Key | KeySource, /, *,
        old: Sequence[bytes | str | Key | KeySource] = ..., names: bytes | str | Key | None = None,
        plain: Literal["refuse", "accept"] = "refuse",
    ) -> Self: ...
    def reseal(self) -> tuple[int, list[str]]:
        """Seals every record anew that is not sealed with the current key.

        Other workers go on beside it.

        How many, and the names in the store of those that no key opens. When there are none,
        the old keys can go.
        """
