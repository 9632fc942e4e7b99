"""``AccessTokenVerifier``: verifies the access tokens that an API receives."""

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
    from ._ops import AccessTokenProfile, ReplayProtection
    from ._records import VerifiedAccessToken
    from .drive import Moment

    class _Requirements(TypedDict, total=False):
        """Requirements of an API or of one call."""

        scope: str | Iterable[str] | None
        acr_values: Sequence[str] | None
        max_age: int | None

    class _VerifyArguments(_Requirements, total=False):
        """The arguments of ``verify``: its requirements, and the keys whose possession the request has proved."""

        jkt: str | None
        x5t_s256: str | None

    class _VerifyRequestArguments(_Requirements, total=False):
        """The arguments of ``verify_request`` beside the request."""

        x5t_s256: str | None

    class _ApiRequirements(_Requirements, total=False):
        """The requirements of an API."""

        clock_skew: int | None
        dpop_algs: Sequence[str] | None
        dpop_max_age: int | None
        dpop_nonce_key: bytes | str | None
        dpop_replay: ReplayProtection | None
        realm: str | None

    class _JwtRequirements(_ApiRequirements, total=False):
        """The requirements of an API for JWT access tokens (RFC 9068)."""

        profile: AccessTokenProfile | None
        algs: Sequence[str] | None


_REQUIREMENTS = ("scope", "acr_values", "max_age")
_VERIFY_ARGUMENTS = (*_REQUIREMENTS, "jkt", "x5t_s256")
_VERIFY_REQUEST_ARGUMENTS = (*_REQUIREMENTS, "x5t_s256")
# What only requests with DPoP proofs need.
_PROOF_REQUIREMENTS = ("dpop_max_age", "dpop_nonce_key", "dpop_replay")
_API_REQUIREMENTS = (*_REQUIREMENTS, "clock_skew", "dpop_algs", "realm", *_PROOF_REQUIREMENTS)
_JWT_REQUIREMENTS = (*_API_REQUIREMENTS, "profile", "algs")


def _reject_unknown(names: tuple[str, ...], arguments: dict[str, Any]) -> dict[str, Any]:
    """Rejects unknown arguments: a misspelt requirement would silently not be enforced."""
    for name in arguments:
        if name not in names:
            raise TypeError(f"{name}: there is no such argument")
    return arguments


def _base64url(key: bytes) -> str:
    # Imported here, because few verifiers need it.
    from binascii import b2a_base64

    text = b2a_base64(key, newline=False).decode()
    return text.rstrip("=").translate({ord("+"): "-", ord("/"): "_"})


class _Introspecting(NativeIntrospecting, Client):
    """A client whose operation ``verify_access_token`` introspects the token at the server (RFC 7662)."""

    __slots__ = ()


class _Arguments(Operations):
    """Returns the arguments of an operation in their order, instead of calling it."""

    __slots__ = ()

    def _call(self, number: int, arguments: tuple[object, ...], /) -> Any:
        return arguments


class AccessTokenVerifier:
    """Verifies the access tokens of one server for one API (RFC 9068 section 4).

    ``audience`` is the identifier of the API, or several, of which tokens must contain one. ``profile`` is the format
    of the server's tokens; ``"jwt"`` accepts plain JWTs, which only their audience distinguishes from ID tokens of
    the same server: it must be an API's, and never a client id. ``scope``, ``acr_values`` and ``max_age`` (seconds,
    RFC 9470) are required of every token; a call can replace them. ``algs`` are by default those of the server's
    metadata, and those that a published key is for (its ``alg``, or its curve); never with a shared secret.
    ``clock_skew`` is the tolerated difference of clocks in seconds, and ``realm`` appears in challenges. DPoP proofs
    are accepted with the algorithms of ``dpop_algs``, by default all but those with a shared secret, and until they are
    ``dpop_max_age`` seconds old (60); with ``dpop_nonce_key``, 32 random bytes or their text in base64url, they need a
    nonce of this API. This verifier remembers the proofs that it has received, or you do (``dpop_replay="caller"``).
    With ``access_token_encryption_alg`` tokens are encrypted for this API, as agreed with the server, and plain ones
    refused: the content with ``access_token_encryption_enc``, by default ``A128CBC-HS256``, and ``decryption_keys`` are
    in PEM or JWKs, the newest first. The server's keys are fetched as needed, and cached for all calls of this
    verifier, in all threads.

    For opaque tokens use ``introspecting``.

    An error of a call has ``response_status`` and ``response_headers``: the status and the header fields of the
    response, ``WWW-Authenticate`` among them (RFC 6750 section 3).
    """

    __slots__ = ("_client", "_common", "_native", "_proofs")

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
        **requirements: Unpack[_JwtRequirements],
    ) -> None:
        # The client ID is never sent: fetching the keys requires no client.
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
        self._begin(client, audience, _reject_unknown(_JWT_REQUIREMENTS, {**requirements}))

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
        **requirements: Unpack[_ApiRequirements],
    ) -> Self:
        """A verifier that introspects each token at the server (RFC 7662), as this client.

        Use it for opaque tokens, and to detect revocations. If the response contains no audience, the server itself
        has checked that the token is for this API, as section 4 requires. Results, refusals and challenges are those
        of a verifier of JWTs; a token that is not active is ``access_token.inactive``.

        Each call sends a request, unless responses are cached: for ``cache_max_age`` seconds, and never beyond the
        token's expiry; for inactive tokens at most five seconds. A revoked token is accepted here for as long.
        ``cache_entries``, 1000 by default, is the most that are cached; a response takes up to 256 KiB, and the token
        itself is not kept. Concurrent calls with the same new token share one request.

        With ``signed_response_alg`` the server's responses must be signed (RFC 9701);
        ``signed_response_audience`` is their audience, if it is not the client id.
        """
        settings = (signed_response_alg, signed_response_audience, cache_max_age, cache_entries)
        verifier = cls.__new__(cls)
        arguments = _reject_unknown(_API_REQUIREMENTS, {**requirements})
        verifier._begin(_Introspecting(client, settings), audience, arguments)
        return verifier

    def export_keys(self) -> str | None:
        """The cached public keys of the server, to store: see ``Client.export_keys``."""
        return self._client.export_keys()

    def import_keys(self, text: str) -> None:
        """Imports the result of ``export_keys``, unless the cached keys are newer."""
        self._client.import_keys(text)

    def _begin(self, client: Client, audience: str | Sequence[str], requirements: dict[str, Any]) -> None:
        # Copied to a list: an iterator can be read only once, but every verification reads it.
        scope = requirements.get("scope")
        if scope is not None and not isinstance(scope, str):
            requirements["scope"] = list(scope)
        if not hasattr(audience, "__iter__"):
            raise TypeError(f"argument 'audience': expected a string or a list of strings, not {type(audience).__name__}")
        audiences = [audience] if isinstance(audience, str) else list(audience)
        if not audiences or "" in audiences:
            raise misuse("form.malformed_parameter", "audience must contain at least one identifier, and no empty one")
        self._client = client
        proofs = {name: requirements.pop(name, None) for name in _PROOF_REQUIREMENTS}
        if isinstance(proofs["dpop_nonce_key"], bytes):
            proofs["dpop_nonce_key"] = _base64url(proofs["dpop_nonce_key"])
        self._proofs: dict[str, Any] = {name: value for name, value in proofs.items() if value is not None}
        self._common: dict[str, Any] = {**requirements, "audience": audiences}
        # Invalid arguments are reported now rather than with each token.
        arguments: Any = _Arguments().verify_access_token(**self._common, token="")
        self._native = NativeVerifier(client, arguments)
        if self._proofs:
            self._client.exchange.verify_api_request(**self._common, **self._proofs, method="", url="")

    def _request_arguments(
        self,
        method: str,
        url: str,
        authorization: str | Sequence[str] | None,
        dpop: str | Sequence[str] | None,
        arguments: dict[str, Any],
    ) -> dict[str, Any]:
        checked = _reject_unknown(_VERIFY_REQUEST_ARGUMENTS, arguments)
        present = {name: value for name, value in checked.items() if value is not None}
        request = {"method": method, "url": url, "authorization": authorization, "dpop": dpop}
        return {**self._common, **self._proofs, **present, **request}

    def _operation_arguments(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        checked = _reject_unknown(_VERIFY_ARGUMENTS, arguments)
        present = {name: value for name, value in checked.items() if value is not None}
        return {**self._common, **present, "token": token}

    def verify(self, token: str, **arguments: Unpack[_VerifyArguments]) -> VerifiedAccessToken:
        """Verifies a token that was presented as a bearer token.

        A token that is bound to a key is refused, unless ``jkt`` is the thumbprint of the key of a DPoP proof that
        a gateway has verified for this request, or ``x5t_s256`` that of the client's certificate: see
        ``verify_request``. ``scope``, ``acr_values`` and ``max_age`` replace the verifier's.
        """
        if not arguments:
            return self._native.verify(token)
        return self._client.verify_access_token(**self._operation_arguments(token, {**arguments}))

    def averify(self, token: str, **arguments: Unpack[_VerifyArguments]) -> Coroutine[Any, Any, VerifiedAccessToken]:
        """verify(), in a coroutine."""
        if not arguments:
            return self._native.averify(token)
        return self._client.averify_access_token(**self._operation_arguments(token, {**arguments}))

    def verify_exchange(
        self, token: str, *, moment: Moment | None = None, **arguments: Unpack[_VerifyArguments]
    ) -> Exchange[VerifiedAccessToken]:
        """verify() without transport."""
        args = self._operation_arguments(token, {**arguments})
        return self._client.exchange.verify_access_token(**args, moment=moment)

    def verify_request(
        self,
        *,
        method: str,
        url: str,
        authorization: str | Sequence[str] | None,
        dpop: str | Sequence[str] | None,
        **arguments: Unpack[_VerifyRequestArguments],
    ) -> VerifiedAccessToken:
        """Verifies the token of a request, presented by the scheme ``Bearer`` or ``DPoP`` (RFC 9449 section 7).

        With ``DPoP`` the proof of the request is verified too. A token that is bound to a key is accepted
        only with a proof of this key. ``url`` is the absolute URL to which the client sent the request: take scheme
        and host from your configuration. ``authorization`` and ``dpop`` are the values of these header fields, a list if
        there are several, None if there is none. Send ``dpop_nonce`` of the result, if there is one, with the response
        in the field ``DPoP-Nonce``. ``x5t_s256`` is the thumbprint of the client's certificate; ``scope``,
        ``acr_values`` and ``max_age`` replace the verifier's.
        """
        args = self._request_arguments(method, url, authorization, dpop, {**arguments})
        return self._client.verify_api_request(**args)

    def averify_request(
        self,
        *,
        method: str,
        url: str,
        authorization: str | Sequence[str] | None,
        dpop: str | Sequence[str] | None,
        **arguments: Unpack[_VerifyRequestArguments],
    ) -> Coroutine[Any, Any, VerifiedAccessToken]:
        """verify_request(), in a coroutine."""
        args = self._request_arguments(method, url, authorization, dpop, {**arguments})
        return self._client.averify_api_request(**args)

    def verify_request_exchange(
        self,
        *,
        method: str,
        url: str,
        authorization: str | Sequence[str] | None,
        dpop: str | Sequence[str] | None,
        moment: Moment | None = None,
        **arguments: Unpack[_VerifyRequestArguments],
    ) -> Exchange[VerifiedAccessToken]:
        """verify_request() without transport."""
        args = self._request_arguments(method, url, authorization, dpop, {**arguments})
        return self._client.exchange.verify_api_request(**args, moment=moment)
