"""``identity_assertion_grant``: exchanges a sign-in at an identity provider for tokens of a different server."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, Sequence

    from ._client import Client
    from ._native import Tokens


def identity_assertion_grant(
    identity_provider: Client,
    tokens: Tokens,
    client: Client,
    *,
    scope: str | Iterable[str] | None = None,
    resource: Sequence[str] | None = None,
    authorization_details: Sequence[Mapping[str, Any]] | None = None,
) -> Tokens:
    """Obtains tokens from the server of ``client`` for a user who has signed in at the identity provider.

    ``tokens`` are those of that sign-in, with its ID token. The identity provider issues an assertion for the
    other server, which issues tokens for it (draft-ietf-oauth-identity-assertion-authz-grant). Both are configured
    by the organization, and never taken from a resource. Call it again for new tokens: an assertion can be used once.
    ``scope``, ``resource`` and ``authorization_details`` are those of the other server.

    ``identity_assertion.no_id_token`` if there is none; ``jwt.expired`` if it has expired: refresh the sign-in first.
    ``client.source(identity_provider=..., sign_in=...)`` and a ``ResourceConnection`` to an API renew automatically.
    """
    response = identity_provider.request_identity_assertion(
        subject_token=tokens.id_token or "",
        issuer=client.server.issuer,
        scope=scope,
        resource=resource,
        authorization_details=authorization_details,
    )
    return client.redeem_identity_assertion(assertion=response.assertion)


async def aidentity_assertion_grant(
    identity_provider: Client,
    tokens: Tokens,
    client: Client,
    *,
    scope: str | Iterable[str] | None = None,
    resource: Sequence[str] | None = None,
    authorization_details: Sequence[Mapping[str, Any]] | None = None,
) -> Tokens:
    """identity_assertion_grant(), in a coroutine."""
    response = await identity_provider.arequest_identity_assertion(
        subject_token=tokens.id_token or "",
        issuer=client.server.issuer,
        scope=scope,
        resource=resource,
        authorization_details=authorization_details,
    )
    return await client.aredeem_identity_assertion(assertion=response.assertion)

