"""The plug-in for httpx2.

    httpx2.Client(auth=oauth_core.httpx2.Auth(source, origins=["https://api.example"]))
"""

from __future__ import annotations

import httpx2

from ._httpx_flow import Flow, UncopiedHeaders

__all__ = ["Auth"]


class _Headers(UncopiedHeaders, httpx2.Headers):
    pass


class Auth(Flow, httpx2.Auth):
    """Attaches the source's token, and renews it once after a 401.

    For both ``httpx2.Client`` and ``httpx2.AsyncClient``. A request to any origin other than those
    given (by default the preset's) is refused before it is sent; give such a request its own
    ``auth``. A streaming body cannot be sent twice: its 401 is returned, and the token is
    discarded. A redirect that the client follows carries
    the token within the origin only; with an ``Api`` of two owners it is followed without a token and
    sent again, and one to a route of a different owner is refused (``resource.redirect``). A DPoP
    proof is for one URL and is not copied: if the target of a redirect responds with 401, the request is sent again with a
    new proof.
    Tokens are fetched by the source, with its own transport and timeout, never by the
    client that uses this plug-in.
    """

    _headers = _Headers
