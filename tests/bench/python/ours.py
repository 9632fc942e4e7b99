"""Our client of a server at one base, without the standard library's help: memory is measured."""

from __future__ import annotations

import oauth_core


def our_client(base: str, client_id: str, secret: str) -> oauth_core.Client:
    metadata = {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
    }
    server = oauth_core.Server.from_metadata(base, metadata, transport="loopback_http")
    auth = oauth_core.ClientSecretPost(secret)
    return oauth_core.Client(server, client_id=client_id, client_auth=auth)
