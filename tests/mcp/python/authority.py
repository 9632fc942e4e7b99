"""The authorization server behind the SDK's routes, in memory: who may do what, and for how long."""

import secrets
import time
from collections import Counter
from dataclasses import dataclass

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.shared.auth import OAuthToken

TOOLS = "mcp:tools"
SECRET = "mcp:secret"
SCOPES = [TOOLS, SECRET]
CODE_SECONDS = 60
COUNTED = [
    "registrations",
    "authorizations",
    "code_redemptions",
    "refreshes",
    "refresh_token_reuses",
    "revocations",
    "tool_calls",
]


@dataclass(eq=False)
class Grant:
    """A user's approval; all its tokens end with it."""

    client_id: str
    scopes: list[str]
    resource: str | None
    is_over: bool = False


class Code(AuthorizationCode):
    grant: Grant


class Access(AccessToken):
    grant: Grant


class Refresh(RefreshToken):
    grant: Grant
    is_spent: bool = False


for model in (Code, Access, Refresh):
    model.model_config["arbitrary_types_allowed"] = True


class Authority:
    """An `OAuthAuthorizationServerProvider`. Codes and refresh tokens work once; a refresh token that comes a
    second time ends its grant (RFC 9700, section 4.14.2)."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.access_token_seconds = 3600
        self.wanted_by_secret_tool = SECRET
        self.counts = Counter({name: 0 for name in COUNTED})
        self.forget_clients()

    def forget_clients(self) -> None:
        """As if the server had lost its database."""
        self.clients = {}
        self.codes: dict[str, Code] = {}
        self.refresh_tokens: dict[str, Refresh] = {}
        self.access_tokens: dict[str, Access] = {}

    def expire_tokens(self) -> None:
        """Every access token ends now."""
        self.access_tokens.clear()

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client):
        self.counts["registrations"] += 1
        self.clients[client.client_id] = client

    async def authorize(self, client, params):
        """No user to ask: redirects immediately."""
        self.counts["authorizations"] += 1
        grant = Grant(client.client_id, params.scopes or [TOOLS], params.resource)
        code = Code(
            code=secrets.token_urlsafe(32),
            expires_at=time.time() + CODE_SECONDS,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            client_id=client.client_id,
            scopes=grant.scopes,
            resource=grant.resource,
            grant=grant,
        )
        self.codes[code.code] = code
        home = str(params.redirect_uri)
        return construct_redirect_uri(home, code=code.code, state=params.state, iss=self.issuer)

    async def load_authorization_code(self, client, code):
        known = self.codes.get(code)
        return known if known and known.client_id == client.client_id else None

    async def exchange_authorization_code(self, client, code):
        self.counts["code_redemptions"] += 1
        del self.codes[code.code]
        return self._issue(code.grant, code.grant.scopes)

    async def load_refresh_token(self, client, token):
        known = self.refresh_tokens.get(token)
        if known is None or known.client_id != client.client_id or known.grant.is_over:
            return None
        return known

    async def exchange_refresh_token(self, client, token, scopes):
        if token.is_spent:
            self.counts["refresh_token_reuses"] += 1
            token.grant.is_over = True
            raise TokenError("invalid_grant", "this refresh token was used before")
        self.counts["refreshes"] += 1
        token.is_spent = True
        return self._issue(token.grant, scopes)

    async def load_access_token(self, token):
        known = self.access_tokens.get(token)
        return known if known and not known.grant.is_over else None

    async def revoke_token(self, token):
        self.counts["revocations"] += 1
        token.grant.is_over = True

    def _issue(self, grant: Grant, scopes: list[str]) -> OAuthToken:
        seconds = self.access_token_seconds
        common = {"client_id": grant.client_id, "resource": grant.resource, "grant": grant}
        access = Access(
            token=secrets.token_urlsafe(32),
            scopes=scopes,
            expires_at=int(time.time()) + seconds,
            subject="somebody",
            **common,
        )
        refresh = Refresh(token=secrets.token_urlsafe(32), scopes=grant.scopes, **common)
        self.access_tokens[access.token] = access
        self.refresh_tokens[refresh.token] = refresh
        return OAuthToken(
            access_token=access.token,
            expires_in=seconds,
            scope=" ".join(scopes),
            refresh_token=refresh.token,
        )
