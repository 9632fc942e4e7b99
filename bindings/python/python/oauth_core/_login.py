"""The login of native apps (RFC 8252): a browser, and a listener on a loopback address."""

from __future__ import annotations

from ._native import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

    from ._native import Client, Flow, Tokens

    Open = Callable[[str], object]


def login(
    client: Client,
    *,
    scope: str = "",
    open: Open | None = None,
    port: int = 0,
    timeout: float = 300.0,
    extra: Mapping[str, str] | None = None,
) -> Tokens:
    """Sends the person to the server, waits for the callback, and redeems its code.

    ``open`` shows a URL to the person: by default the system's browser. It must not wait for what
    the browser does. Another ``port`` than 0 is for servers that compare ports.
    """
    listener, flow = _begin(client, scope, open, port, extra)
    return client.redeem(flow, listener.callback(flow, timeout=timeout))


async def alogin(
    client: Client,
    *,
    scope: str = "",
    open: Open | None = None,
    port: int = 0,
    timeout: float = 300.0,
    extra: Mapping[str, str] | None = None,
) -> Tokens:
    """login(), in a coroutine."""
    listener, flow = _begin(client, scope, open, port, extra)
    return await client.aredeem(flow, await listener.acallback(flow, timeout=timeout))


def _begin(
    client: Client, scope: str, open: Open | None, port: int, extra: Mapping[str, str] | None
) -> tuple[Listener, Flow]:
    if open is None:
        from webbrowser import open as open_browser

        open = open_browser
    listener = Listener(port=port)
    flow = client.authorize(redirect_uri=listener.redirect_uri, scope=scope, extra=extra)
    open(flow.url)
    return listener, flow
