"""OAuth 2.0 and OpenID Connect: one core, your HTTP library or none.

    client = oauth_core.Client(oauth_core.provider("usertesting"), client_id=ID, secret=SECRET)
    source = client.client_credentials(scope="studies:read")
    source.get("https://api.use2.usertesting.com/api/v2/sessionResults/?testId=1").json()

Everything that waits has two names: ``token()`` blocks (without Python's lock), ``atoken()`` is its
coroutine for asyncio. ``drive`` runs the same conversations over an HTTP client of yours; ``httpx``,
``httpx2``, ``requests`` and ``aiohttp`` are plug-ins, imported only by whoever names them.
"""

from ._login import alogin, login
from ._native import (
    Client,
    ClientAuth,
    ClientSecretBasic,
    ClientSecretPost,
    Exchange,
    Exchanges,
    Flow,
    Keeper,
    Lease,
    Listener,
    Load,
    Public,
    Renewal,
    Resource,
    Response,
    Save,
    Send,
    Server,
    Sign,
    Sleep,
    Tokens,
    TokenSource,
    Turn,
    __version__,
    adiscover,
    discover,
    discover_exchange,
    provider,
)
from .errors import Denied, Lost, Malformed, Misuse, OAuthError, TransportError, Untrusted

__all__ = [
    "Client",
    "ClientAuth",
    "ClientSecretBasic",
    "ClientSecretPost",
    "Denied",
    "Exchange",
    "Exchanges",
    "Flow",
    "Keeper",
    "Lease",
    "Listener",
    "Load",
    "Lost",
    "Malformed",
    "Misuse",
    "OAuthError",
    "Public",
    "Renewal",
    "Resource",
    "Response",
    "Save",
    "Send",
    "Server",
    "Sign",
    "Sleep",
    "TokenSource",
    "Tokens",
    "TransportError",
    "Turn",
    "Untrusted",
    "__version__",
    "adiscover",
    "alogin",
    "discover",
    "discover_exchange",
    "login",
    "provider",
]
