"""Verification of access tokens, for APIs, with the requirements of one API set once."""

from __future__ import annotations

from ._client import Client
from ._native import Introspecting as NativeIntrospecting
from ._native import Public
from ._native import Verifier as NativeVerifier
from ._ops import Operations
from .errors import misuse

# Type checkers treat this as true; importing `typing` would take longer than the rest of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence
    from typing import Any, TypedDict

    from typing_extensions import Self, Unpack

    from ._native import Exchange, Network, Server
    # Names of the stub alone, and private for stubtest, which would miss others in the module itself.
    from ._native import _Enc as Enc  # pyright: ignore[reportPrivateUsage]
    from ._native import _JweAlg as JweAlg  # pyright: ignore[reportPrivateUsage]
    from ._ops import AccessTokenProfile
    from ._records import VerifiedAccessToken
    from .drive import Moment

    class _Needs(TypedDict, total=False):
        """The requirements of a token, of an API or of a call."""

        scope: str | Iterable[str] | None
        acr_values: Sequence[str] | None
        max_age: int | None

    class _Shown(_Needs, total=False):
        """The arguments of a call: its requirements, and the keys that the request has proved."""

        jkt: str | None
        x5t_s256: str | None

    class _Api(_Needs, total=False):
        """The requirements of an API, for all tokens."""

        clock_skew: int | None
        dpop_algs: Sequence[str] | None
        realm: str | None

    class _JwtApi(_Api, total=False):
        """The requirements of an API for tokens that are JWTs."""

        profile: AccessTokenProfile | None
        algs: Sequence[str] | None


_NEEDS = ("scope", "acr_values", "max_age")
_SHOWN = (*_NEEDS, "jkt", "x5t_s256")
_API = (*_NEEDS, "clock_skew", "dpop_algs", "realm")
_JWT_API = (*_API, "profile", "algs")


def _reject_unknown(names: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Rejects unknown arguments: a misspelt requirement would silently not be enforced."""
    for name in given:
        if name not in names:
            raise TypeError(f"{name}: there is no such argument")
    return given


class _Introspecting(NativeIntrospecting, Client):
    """A client whose operation `verify_access_token` introspects the token at the server."""

    __slots__ = ()


class _Arguments(Operations):
    """Returns the arguments of an operation in their order, instead of calling it."""

    __slots__ = ()

    def _call(self, number: int, arguments: tuple[object, ...], /) -> Any:
        return arguments


class AccessTokenVerifier:
    """Verifies the access tokens of one server for one API (RFC 9068 section 4).

    ``audience`` is the identifier of the API, or several, of which tokens have to name one. ``profile`` says which
    server's tokens they are; ``"jwt"`` accepts plain JWTs, which only their audience distinguishes from ID tokens of
    the same server: it must be an API's, and never a client's id. ``scope``, ``acr_values`` and ``max_age`` (seconds,
    RFC 9470) are required of every token; a call can require others. ``algs`` are by default those of the server's
    metadata, and those that a published key is for (its ``alg``, or its curve); never with a shared secret. ``clock_skew`` is how many seconds clocks may be apart, ``dpop_algs`` and
    ``realm`` appear in challenges. With ``access_token_encryption_alg`` tokens are encrypted for this API, as agreed with
    the server, and plain ones refused: the content by ``access_token_encryption_enc``, ``A128CBC-HS256`` unless it says
    otherwise, and ``decryption_keys`` are in PEM or JWKs, the newest first. The server's keys are fetched as needed, and kept for all calls of this verifier, in
    all threads.

    For opaque tokens there is ``introspecting``.

    An error of a call has ``response_status`` and ``challenge``: the status and the ``WWW-Authenticate`` for the
    response (RFC 6750 section 3).
    """

    __slots__ = ("_client", "_common", "_native")

    def __init__(
        self,
        server: Server,
        *,
        audience: str | Sequence[str],
        timeout: float | None = None,
        network: Network | None = None,
        access_token_encryption_alg: JweAlg | None = None,
        access_token_encryption_enc: Enc | None = None,
        decryption_keys: Sequence[str] | None = None,
        **asked: Unpack[_JwtApi],
    ) -> None:
        # No request names this client: anyone may fetch the keys.
        client = Client(
            server,
            client_id="resource-server",
            client_auth=Public(),
            timeout=timeout,
            network=network,
            access_token_encryption_alg=access_token_encryption_alg,
            access_token_encryption_enc=access_token_encryption_enc,
            decryption_keys=decryption_keys,
        )
        self._begin(client, audience, _reject_unknown(_JWT_API, {**asked}))

    @classmethod
    def introspecting(
        cls,
        client: Client,
        *,
        audience: str | Sequence[str],
        cache_max_age: int | None = None,
        cache_entries: int | None = None,
        signed_response_alg: str | None = None,
        signed_response_audience: str | None = None,
        **asked: Unpack[_Api],
    ) -> Self:
        """Verifies tokens by asking the server about each (RFC 7662), as this client.

        This is for opaque tokens, and to learn of revocations. If the server names no audience, its answer
        vouches for it, as section 4 requires. Results, refusals and challenges are those
        of a verifier of JWTs; a token that is not active is ``access_token.inactive``.

        Each call makes a request, unless answers are cached: for ``cache_max_age`` seconds, and never beyond the
        token's expiry; that it is not active, for five seconds at most. A revoked token is accepted here for as long.
        ``cache_entries``, 1000 by default, is how many are kept at most; an answer takes up to 256 KiB, and the token
        itself is not kept. Of several calls with one new token only one asks.

        With ``signed_response_alg`` the server's answers are signed, and others refused (RFC 9701);
        ``signed_response_audience`` is its name for this API there, if it is not the client id.
        """
        how = (signed_response_alg, signed_response_audience, cache_max_age, cache_entries)
        verifier = cls.__new__(cls)
        verifier._begin(_Introspecting(client, how), audience, _reject_unknown(_API, {**asked}))
        return verifier

    def export_keys(self) -> str | None:
        """The cached public keys of the server, to store: see ``Client.export_keys``."""
        return self._client.export_keys()

    def import_keys(self, text: str) -> None:
        """Imports the result of ``export_keys``, unless the cached keys are newer."""
        self._client.import_keys(text)

    def _begin(self, client: Client, audience: str | Sequence[str], asked: dict[str, Any]) -> None:
        # An iterable that can be read only once is kept as a list, for each token.
        scope = asked.get("scope")
        if scope is not None and not isinstance(scope, str):
            asked["scope"] = list(scope)
        audiences = [audience] if isinstance(audience, str) else list(audience)
        if not audiences or "" in audiences:
            raise misuse("form.malformed_parameter", "audience: an API has one or more, and none is empty")
        self._client = client
        self._common: dict[str, Any] = {**asked, "audience": audiences}
        # Invalid arguments are reported now, and not with each token.
        arguments: Any = _Arguments().verify_access_token(**self._common, token="")
        self._native = NativeVerifier(client, arguments)

    def _operation_arguments(self, token: str, shown: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in _reject_unknown(_SHOWN, shown).items() if value is not None}
        return {**self._common, **given, "token": token}

    def verify(self, token: str, **shown: Unpack[_Shown]) -> VerifiedAccessToken:
        """Verifies a token that was presented as a bearer token.

        ``jkt`` is the thumbprint of the key of a DPoP proof that you have verified for this request, and
        ``x5t_s256`` that of the client's certificate: without them a token that is bound to a key is
        refused. ``scope``, ``acr_values`` and ``max_age`` replace the verifier's.
        """
        if not shown:
            return self._native.verify(token)
        return self._client.verify_access_token(**self._operation_arguments(token, {**shown}))

    def averify(self, token: str, **shown: Unpack[_Shown]) -> Coroutine[Any, Any, VerifiedAccessToken]:
        """verify(), in a coroutine."""
        if not shown:
            return self._native.averify(token)
        return self._client.averify_access_token(**self._operation_arguments(token, {**shown}))

    def verify_exchange(
        self, token: str, *, moment: Moment | None = None, **shown: Unpack[_Shown]
    ) -> Exchange[VerifiedAccessToken]:
        """verify() without any transport."""
        asked = self._operation_arguments(token, {**shown})
        return self._client.exchange.verify_access_token(**asked, moment=moment)
