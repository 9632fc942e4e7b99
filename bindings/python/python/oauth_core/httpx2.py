"""The plug-in for httpx2.

    httpx2.Client(auth=oauth_core.httpx2.Auth(source, origins=["https://api.example"]))
"""

from __future__ import annotations

import httpx2

from ._httpx_flow import Flow

__all__ = ["Auth"]


class Auth(Flow, httpx2.Auth):
    """Attaches the source's token, and renews it once after a 401.

    For ``httpx2.Client`` and ``httpx2.AsyncClient`` alike. A request to any other origin than those
    given (by default the preset's) is refused before it is sent; give such a request its own
    ``auth``. A body that streams cannot be sent twice: its 401 is handed back, and the token is
    forgotten. With an ``Api`` of two owners leave
    redirects off, as they are by default: the client would take one owner's token to the other's route.
    Tokens are fetched by the source, with its own transport and timeout, never by the
    client this is plugged into.
    """
