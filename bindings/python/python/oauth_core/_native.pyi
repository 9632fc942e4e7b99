"""The native half; import its names from ``oauth_core``."""

import os
from collections.abc import Coroutine, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from types import GenericAlias, TracebackType
from typing import Any, Callable, ClassVar, Literal, TypeVar, final, overload

from typing_extensions import Self, TypeAlias, disjoint_base

from ._source import TokenSource
from .drive import Answer, Moment, Said, Step, Task
from .errors import OAuthError
from .stores import Store

__all__ = ["Api", "Call", "Client", "ClientAuth", "ClientSecretBasic", "ClientSecretPost"]
__all__ += ["Exchange", "Exchanges", "FileStore", "FixedToken", "Flow", "GrantSource", "Keeper"]
__all__ += ["Lease", "Listener", "Load", "Memory", "NativeStore", "Network", "PostgresStore"]
__all__ += ["Public", "RedisStore", "Renewal", "Resource", "Response", "Save", "Sealed", "Send"]
__all__ += ["Server", "Sign", "Sleep", "SqliteStore", "Tokens", "Turn", "__version__"]
__all__ += ["adiscover", "discover", "discover_exchange", "fixed_token", "provider"]
__all__ += ["provider_file"]

__version__: str

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Transport: TypeAlias = Literal["https", "loopback_http"]
_Hint: TypeAlias = Literal["access_token", "refresh_token"]
_Hook: TypeAlias = Callable[[Tokens], object]
_Fields: TypeAlias = Iterable[tuple[str | bytes, str | bytes]]
_RateLimit: TypeAlias = Literal["error", "wait", "pass"]
_Allowance: TypeAlias = Literal["documented"] | tuple[int, int]
_Place: TypeAlias = str | os.PathLike[str]
_Later: TypeAlias = Coroutine[Any, Any, _T]

def provider(
    name: str, *, options: Sequence[str] = ..., loopback: str | None = None, **variables: str
) -> Server: ...
def provider_file(
    path_or_text: _Place,
    /,
    *,
    options: Sequence[str] = ...,
    loopback: str | None = None,
    **variables: str,
) -> Server: ...
def fixed_token(
    token: str | None = None,
    *,
    env: str | None = None,
    file: _Place | None = None,
    callback: Callable[[], str] | None = None,
    origins: Sequence[str] | Server,
    expires_at: float | datetime | None = None,
    transport: _Transport = "https",
    network: Network | None = None,
) -> FixedToken: ...
def discover(
    issuer: str,
    *,
    transport: _Transport = "https",
    timeout: float | None = None,
    network: Network | None = None,
) -> Server: ...
def adiscover(
    issuer: str,
    *,
    transport: _Transport = "https",
    timeout: float | None = None,
    network: Network | None = None,
) -> _Later[Server]: ...
def discover_exchange(
    issuer: str, *, transport: _Transport = "https", moment: Moment | None = None
) -> Exchange[Server]: ...
@final
class Network:
    def __new__(
        cls,
        *,
        ca: _Place | None = None,
        only_ca: _Place | None = None,
        client_certificate: _Place | None = None,
        client_key: _Place | None = None,
        proxy: str | None = None,
        connect_timeout: float | None = None,
        timeout: float | None = None,
        user_agent: str | None = None,
        in_flight_per_origin: int | None = None,
    ) -> Self: ...
@final
class Server:
    @staticmethod
    def from_metadata(
        issuer: str, metadata: Mapping[str, Any] | str, *, transport: _Transport = "https"
    ) -> Server: ...
    @property
    def issuer(self) -> str: ...
    @property
    def metadata(self) -> dict[str, Any]: ...
    @property
    def api_origins(self) -> tuple[str, ...]: ...
    def api(
        self,
        *,
        app: TokenSource | None = None,
        user: TokenSource | None = None,
        origins: Sequence[str] | None = None,
        rate_limit: _RateLimit = "error",
        longest_wait: float = 300.0,
        allowance: _Allowance | None = None,
        on_wait: Callable[[float], object] | None = None,
        network: Network | None = None,
    ) -> Api: ...

@disjoint_base
class ClientAuth: ...
@final
class ClientSecretPost(ClientAuth):
    def __new__(cls, secret: str, /) -> Self: ...
@final
class ClientSecretBasic(ClientAuth):
    def __new__(cls, secret: str, /) -> Self: ...
@final
class Public(ClientAuth):
    def __new__(cls) -> Self: ...

@final
class Client:
    @overload
    def __new__(
        cls,
        server: Server,
        *,
        client_id: str,
        secret: str | None = None,
        auth: None = None,
        redirect_uris: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        network: Network | None = None,
    ) -> Self: ...
    @overload
    def __new__(
        cls,
        server: Server,
        *,
        client_id: str,
        secret: None = None,
        auth: ClientAuth,
        redirect_uris: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        network: Network | None = None,
    ) -> Self: ...
    @property
    def server(self) -> Server: ...
    @property
    def client_id(self) -> str: ...
    @property
    def exchange(self) -> Exchanges: ...
    def authorize(
        self,
        *,
        redirect_uri: str,
        scope: str = "",
        response_mode: Literal["query", "fragment", "form_post"] = "query",
        extra: Mapping[str, str] | None = None,
        moment: Moment | None = None,
    ) -> Flow: ...
    def redeem(self, flow: Flow, callback_url: str) -> Tokens: ...
    def aredeem(self, flow: Flow, callback_url: str) -> _Later[Tokens]: ...
    def refresh(self, tokens: Tokens, *, scope: str = "") -> Tokens: ...
    def arefresh(self, tokens: Tokens, *, scope: str = "") -> _Later[Tokens]: ...
    def password(self, *, username: str, password: str, scope: str = "") -> Tokens: ...
    def apassword(self, *, username: str, password: str, scope: str = "") -> _Later[Tokens]: ...
    def revoke(self, token: str, *, hint: _Hint | None = None) -> None: ...
    def arevoke(self, token: str, *, hint: _Hint | None = None) -> _Later[None]: ...
    def introspect(self, token: str, *, hint: _Hint | None = None) -> dict[str, Any]: ...
    def aintrospect(
        self, token: str, *, hint: _Hint | None = None
    ) -> _Later[dict[str, Any]]: ...
    def client_credentials(
        self,
        *,
        scope: str = "",
        resource: Sequence[str] | None = None,
        store: Store | None = None,
        lease: float | None = None,
        on_tokens: _Hook | None = None,
    ) -> GrantSource: ...
    def source(
        self,
        tokens: Tokens | None = None,
        *,
        store: Store | None = None,
        subject: str | None = None,
        scope: str = "",
        resource: Sequence[str] | None = None,
        reuse: Literal["unknown", "revokes", "tolerated"] | None = None,
        lease: float | None = None,
        on_tokens: _Hook | None = None,
    ) -> GrantSource: ...
    def keeper(
        self,
        tokens: Tokens | None = None,
        *,
        grant_type: Literal["refresh_token", "client_credentials"] = "refresh_token",
        shared: bool = True,
        subject: str | None = None,
        scope: str = "",
        resource: Sequence[str] | None = None,
        reuse: Literal["unknown", "revokes", "tolerated"] | None = None,
        lease: float | None = None,
        moment: Moment | None = None,
    ) -> Keeper: ...

@final
class Flow:
    @property
    def url(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    def to_json(self) -> str: ...
    @staticmethod
    def from_json(text: str) -> Flow: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Listener:
    def __new__(
        cls, *, port: int = 0, path: str | None = None, redirect_uri: str | None = None
    ) -> Self: ...
    @property
    def redirect_uri(self) -> str: ...
    def paste(self, flow: Flow, text: str) -> bool: ...
    def callback(self, flow: Flow, *, timeout: float = 300.0) -> str: ...
    def acallback(self, flow: Flow, *, timeout: float = 300.0) -> _Later[str]: ...

@final
class Tokens:
    @staticmethod
    def bearer(access_token: str, *, expires_at: float | datetime | None = None) -> Tokens: ...
    @property
    def access_token(self) -> str: ...
    @property
    def token_type(self) -> str: ...
    @property
    def expires_in(self) -> int | None: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def received_at(self) -> datetime: ...
    @property
    def scope(self) -> frozenset[str]: ...
    @property
    def refresh_token(self) -> str | None: ...
    @property
    def id_token(self) -> str | None: ...
    @property
    def extra(self) -> dict[str, Any]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def issuer(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    def to_json(self) -> str: ...
    @staticmethod
    def from_json(text: str) -> Tokens: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class GrantSource:
    def token(self) -> Tokens: ...
    def atoken(self) -> _Later[Tokens]: ...
    def renew(self, tokens: Tokens) -> Tokens: ...
    def arenew(self, tokens: Tokens) -> _Later[Tokens]: ...
    def invalidate(self, tokens: Tokens) -> None: ...
    def log_in(self, tokens: Tokens) -> None: ...
    def alog_in(self, tokens: Tokens) -> _Later[None]: ...
    def drain(self, *, timeout: float = 10.0) -> None: ...
    def adrain(self, *, timeout: float = 10.0) -> _Later[None]: ...
    @property
    def key(self) -> str | None: ...
    @property
    def on_tokens(self) -> _Hook | None: ...
    def resource(self, origins: Sequence[str] | None = None) -> Resource: ...
    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, origins: Sequence[str] | None = None,
        timeout: float | None = None, rate_limit: _RateLimit | None = None,
        longest_wait: float | None = None,
    ) -> Response: ...
    def arequest(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, origins: Sequence[str] | None = None,
        timeout: float | None = None, rate_limit: _RateLimit | None = None,
        longest_wait: float | None = None,
    ) -> _Later[Response]: ...
    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response: ...
    def aget(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        origins: Sequence[str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]: ...

@disjoint_base
class Api:
    def __new__(
        cls,
        source: TokenSource,
        *,
        origins: Sequence[str] | None = None,
        rate_limit: _RateLimit = "error",
        longest_wait: float = 300.0,
        allowance: _Allowance | None = None,
        on_wait: Callable[[float], object] | None = None,
        transport: _Transport = "https",
        network: Network | None = None,
    ) -> Self: ...
    def owner(self, url: str) -> Literal["application", "user", "any"]: ...
    def call(
        self, method: str, url: str, headers: _Fields, body: bytes | None, once: bool
    ) -> Call: ...
    def waits(self, seconds: float) -> None: ...
    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response: ...
    def arequest(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        content: bytes | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]: ...
    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> Response: ...
    def aget(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None,
        rate_limit: _RateLimit | None = None, longest_wait: float | None = None,
    ) -> _Later[Response]: ...

@final
class FixedToken(Api):
    def token(self) -> Tokens: ...
    def atoken(self) -> _Later[Tokens]: ...
    def renew(self, tokens: Tokens) -> Tokens: ...
    def arenew(self, tokens: Tokens) -> _Later[Tokens]: ...
    def invalidate(self, tokens: Tokens) -> None: ...
    def resource(self) -> Resource: ...
@final
class Call:
    def begin(self) -> tuple[str, Any]: ...
    def elapsed(self) -> tuple[str, Any]: ...
    def token(self, tokens: Tokens) -> tuple[str, Any]: ...
    def reply(self, status: int, headers: _Fields) -> tuple[str, Any]: ...
    @property
    def tokens(self) -> Tokens | None: ...

@final
class Response:
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def content(self) -> bytes: ...
    @property
    def text(self) -> str: ...
    @property
    def retry_after(self) -> float | None: ...
    def json(self) -> Any: ...

@final
class Resource:
    def authorization(
        self,
        tokens: Tokens,
        url: str,
        headers: _Fields,
        body: bytes | None = None,
    ) -> str: ...
    @staticmethod
    def may_be_about_the_token(status: int) -> bool: ...
    @staticmethod
    def verdict(
        status: int, headers: _Fields
    ) -> Literal["pass", "renew", "widen_scope", "step_up", "refused"]: ...

@final
class Exchange(Generator[Step, Answer, _T_co]):
    # What `yield from` needs to know its value; at run time it is the exchange itself.
    def __iter__(self) -> Generator[Step, Answer, _T_co]: ...
    def __next__(self) -> Step: ...
    def send(self, answer: Answer, /) -> Step: ...
    @overload
    def throw(
        self,
        typ: type[BaseException],
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> Step: ...
    @overload
    def throw(
        self, typ: BaseException, val: None = None, tb: TracebackType | None = None, /
    ) -> Step: ...
    def close(self) -> None: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...

@final
class Exchanges:
    def client_credentials(
        self, *, scope: str = "", moment: Moment | None = None
    ) -> Exchange[Tokens]: ...
    def redeem(
        self, flow: Flow, callback_url: str, *, moment: Moment | None = None
    ) -> Exchange[Tokens]: ...
    def refresh(
        self, tokens: Tokens, *, scope: str = "", moment: Moment | None = None
    ) -> Exchange[Tokens]: ...
    def password(
        self, *, username: str, password: str, scope: str = "", moment: Moment | None = None
    ) -> Exchange[Tokens]: ...
    def revoke(
        self, token: str, *, hint: _Hint | None = None, moment: Moment | None = None
    ) -> Exchange[None]: ...
    def introspect(
        self, token: str, *, hint: _Hint | None = None, moment: Moment | None = None
    ) -> Exchange[dict[str, Any]]: ...
@final
class Send:
    @property
    def method(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def body(self) -> bytes: ...
@final
class Sleep:
    def __new__(cls, seconds: float, /) -> Self: ...
    @property
    def seconds(self) -> float: ...
@final
class Sign:
    @property
    def key_id(self) -> str: ...
    @property
    def alg(self) -> str: ...
    @property
    def signing_input(self) -> bytes: ...

@final
class Keeper:
    @property
    def key(self) -> str: ...
    @property
    def tokens(self) -> Tokens | None: ...
    @property
    def is_stored(self) -> bool: ...
    @property
    def trouble(self) -> OAuthError | None: ...
    def ask(self, refused: Tokens | None = None) -> Turn: ...
    def renewal(self) -> Renewal: ...
    def refuse(self, tokens: Tokens) -> None: ...
    def replace(self, tokens: Tokens) -> None: ...
    def learn(self, version: int, record: str) -> None: ...
    def abandon(self) -> None: ...
@final
class Turn:
    @property
    def kind(self) -> Literal["hand_out", "hand_out_and_renew", "renew", "follow"]: ...
    @property
    def tokens(self) -> Tokens | None: ...

@final
class Renewal(Generator[Task, Said, Tokens]):
    def __iter__(self) -> Generator[Task, Said, Tokens]: ...
    def __next__(self) -> Task: ...
    def send(self, answer: Said, /) -> Task: ...
    @overload
    def throw(
        self,
        typ: type[BaseException],
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> Task: ...
    @overload
    def throw(
        self, typ: BaseException, val: None = None, tb: TracebackType | None = None, /
    ) -> Task: ...
    def close(self) -> None: ...
@final
class Load:
    def __new__(cls) -> Self: ...
@final
class Lease:
    def __new__(cls, holder: str, seconds: float, /) -> Self: ...
    @property
    def holder(self) -> str: ...
    @property
    def seconds(self) -> float: ...
@final
class Save:
    def __new__(
        cls, record: str, version: int, /, due: float | datetime | None = None
    ) -> Self: ...
    @property
    def record(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def due(self) -> datetime | None: ...

@disjoint_base
class NativeStore:
    def load(self, key: str, /) -> tuple[int, str] | None: ...
    def save(
        self, key: str, record: str, version: int, /, due: float | datetime | None = None
    ) -> int | None: ...
    def lease(self, key: str, holder: str, seconds: float, /) -> float | None: ...
    def remove(self, key: str, /) -> bool: ...
    def scan(self, cursor: str | None = None, /) -> tuple[list[str], str | None]: ...
    def due(self, before: float | datetime, limit: int, /) -> list[str]: ...

@final
class FileStore(NativeStore):
    def __new__(cls, path: str | os.PathLike[str], /) -> Self: ...
    def keys(self) -> list[str]: ...

@final
class SqliteStore(NativeStore):
    def __new__(cls, path: str | os.PathLike[str], /) -> Self: ...

@final
class Memory(NativeStore):
    def __new__(cls) -> Self: ...

@final
class RedisStore(NativeStore):
    def __new__(
        cls,
        url: str,
        /,
        *,
        prefix: str = "oauth-core:grant:",
        timeout: float = 5.0,
        replicas: int = 0,
    ) -> Self: ...

@final
class PostgresStore(NativeStore):
    SCHEMA: ClassVar[str]
    def __new__(cls, url: str, /, *, timeout: float = 5.0) -> Self: ...
    def migrate(self) -> None: ...
    def amigrate(self) -> _Later[None]: ...

@final
class Sealed(NativeStore):
    def __new__(
        cls,
        store: Store,
        key: bytes | str,
        /,
        *,
        old: Sequence[bytes | str] = ...,
        names: bytes | str | None = None,
        plain: Literal["refuse", "accept"] = "refuse",
    ) -> Self: ...
    def reseal(self) -> tuple[int, list[str]]: ...
