"""For APIs: the verification of access tokens, with what one API asks of them said once."""

from __future__ import annotations

from ._client import Client
from ._native import Public

# Type checkers take this for true; the import of `typing` would cost more than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence
    from typing import Any

    from ._native import Exchange, Network, Server
    from ._ops import AccessTokenProfile
    from ._records import AccessToken
    from .drive import Moment


class AccessTokenVerifier:
    """Verifies the access tokens of one server for one API (RFC 9068 section 4).

    ``audience`` is the identifier of the API: tokens have to be meant for it. ``profile`` says whose tokens
    they are. ``scope``, ``acr_values`` and ``max_age`` (seconds, RFC 9470) are what every token needs; a call
    can need others. ``algs`` are those of the server's metadata unless you say, never with a shared secret.
    ``dpop_algs`` and ``realm`` stand in challenges. The server's keys are fetched as needed, and kept for all
    calls of this verifier, in all threads.

    An error of a call has ``answer_status`` and ``challenge``: the status and the ``WWW-Authenticate`` to
    answer with (RFC 6750 section 3).
    """

    __slots__ = ("_client", "_common", "_needs")

    def __init__(
        self,
        server: Server,
        *,
        audience: str,
        profile: AccessTokenProfile | None = None,
        scope: str | Iterable[str] | None = None,
        acr_values: Sequence[str] | None = None,
        max_age: int | None = None,
        algs: Sequence[str] | None = None,
        clock_skew: int | None = None,
        dpop_algs: Sequence[str] | None = None,
        realm: str | None = None,
        timeout: float | None = None,
        network: Network | None = None,
    ) -> None:
        # Nothing is asked in its name: keys are anybody's to fetch.
        self._client = Client(
            server, client_id="resource-server", client_auth=Public(), timeout=timeout, network=network
        )
        self._common: dict[str, Any] = {
            "audience": audience,
            "profile": profile,
            "algs": algs,
            "clock_skew": clock_skew,
            "dpop_algs": dpop_algs,
            "realm": realm,
        }
        if scope is not None and not isinstance(scope, str):
            scope = list(scope)
        self._needs: dict[str, Any] = {"scope": scope, "acr_values": acr_values, "max_age": max_age}

    def export_keys(self) -> str | None:
        """The server's public keys that are known, to store: see ``Client.export_keys``."""
        return self._client.export_keys()

    def import_keys(self, text: str) -> None:
        """Knows the keys that ``export_keys`` wrote, unless newer ones are known."""
        self._client.import_keys(text)

    def _asked(self, token: str, proof: dict[str, Any], needs: dict[str, Any]) -> dict[str, Any]:
        own = {name: value for name, value in needs.items() if value is not None}
        return {"token": token, **self._common, **self._needs, **proof, **own}

    def verify(
        self,
        token: str,
        *,
        jkt: str | None = None,
        x5t_s256: str | None = None,
        scope: str | Iterable[str] | None = None,
        acr_values: Sequence[str] | None = None,
        max_age: int | None = None,
    ) -> AccessToken:
        """Verifies a token that was shown as a bearer token: signature and claims.

        ``jkt`` is the thumbprint of the key of a DPoP proof that you have verified for this request, and
        ``x5t_s256`` that of the client's certificate: without them a token that is bound to a key is
        refused. ``scope``, ``acr_values`` and ``max_age`` take the place of the verifier's.
        """
        needs = {"scope": scope, "acr_values": acr_values, "max_age": max_age}
        proof = {"jkt": jkt, "x5t_s256": x5t_s256}
        return self._client.verify_access_token(**self._asked(token, proof, needs))

    def averify(
        self,
        token: str,
        *,
        jkt: str | None = None,
        x5t_s256: str | None = None,
        scope: str | Iterable[str] | None = None,
        acr_values: Sequence[str] | None = None,
        max_age: int | None = None,
    ) -> Coroutine[Any, Any, AccessToken]:
        """verify(), in a coroutine."""
        needs = {"scope": scope, "acr_values": acr_values, "max_age": max_age}
        proof = {"jkt": jkt, "x5t_s256": x5t_s256}
        return self._client.averify_access_token(**self._asked(token, proof, needs))

    def verify_exchange(
        self,
        token: str,
        *,
        jkt: str | None = None,
        x5t_s256: str | None = None,
        scope: str | Iterable[str] | None = None,
        acr_values: Sequence[str] | None = None,
        max_age: int | None = None,
        moment: Moment | None = None,
    ) -> Exchange[AccessToken]:
        """verify() without any transport."""
        needs = {"scope": scope, "acr_values": acr_values, "max_age": max_age}
        proof = {"jkt": jkt, "x5t_s256": x5t_s256}
        asked = self._asked(token, proof, needs)
        return self._client.exchange.verify_access_token(**asked, moment=moment)
