"""The plug-in for httpx.

    httpx.Client(auth=oauth_core.httpx.Auth(source, origins=["https://api.example"]))
"""

from __future__ import annotations

import httpx

from ._httpx_flow import Flow, Held

__all__ = ["Auth"]


class _Headers(Held, httpx.Headers):
    pass


class Auth(Flow, httpx.Auth):
    """Attaches the source's token, and renews it once after a 401.

    For ``httpx.Client`` and ``httpx.AsyncClient`` alike. A request to any other origin than those
    given (by default the preset's) is refused before it is sent; give such a request its own
    ``auth``. A body that streams cannot be sent twice: its 401 is returned, and the token is
    forgotten. A redirect that the client follows carries
    the token within the origin only; with an ``Api`` of two owners it is followed without one and
    asked for again, and one to another owner's route is refused (``resource.redirect``). A proof of
    possession is of one URL and is not taken along: where a redirect led is asked for once more with another, if it
    answers 401.
    Tokens are fetched by the source, with its own transport and timeout, never by the
    client this is plugged into.
    """

    _headers = _Headers
