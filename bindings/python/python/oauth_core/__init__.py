"""OAuth 2.0 and OpenID Connect: one core, your HTTP library or none.

    client = oauth_core.Client(oauth_core.provider("usertesting"), client_id=ID, client_secret=SECRET)
    source = client.client_credentials(scope="studies:read")
    source.get("https://api.use2.usertesting.com/api/v2/sessionResults/?testId=1").json()

Everything that waits has two names: ``token()`` blocks (without Python's lock), ``atoken()`` is its
coroutine for asyncio. ``drive`` runs the same conversations over an HTTP client of yours; ``httpx``,
``httpx2``, ``requests`` and ``aiohttp`` are plug-ins, imported only by whoever names them.
"""

from . import _records
from ._client import Client, Exchanges
from ._login import alogin, login
from ._native import (
    Api,
    ClientAuth,
    ClientSecretBasic,
    ClientSecretPost,
    Exchange,
    FixedToken,
    Flow,
    GrantSource,
    Keeper,
    Lease,
    Listener,
    Load,
    Network,
    Public,
    Renewal,
    Resource,
    Response,
    Save,
    Send,
    Server,
    Sessions,
    Sign,
    Sleep,
    Tokens,
    Turn,
    __version__,
    adiscover,
    discover,
    discover_exchange,
    fixed_token,
    provider,
    provider_file,
    providers,
)
from ._records import *
from .errors import Denied, Lost, Malformed, Misuse, OAuthError, TransportError, Untrusted

# Type checkers take this for true; the import of `typing` would cost more than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._source import TokenSource

__all__ = [
    "Api",
    "Client",
    "ClientAuth",
    "ClientSecretBasic",
    "ClientSecretPost",
    "Denied",
    "Exchange",
    "Exchanges",
    "FixedToken",
    "Flow",
    "GrantSource",
    "Keeper",
    "Lease",
    "Listener",
    "Load",
    "Lost",
    "Malformed",
    "Misuse",
    "Network",
    "OAuthError",
    "Public",
    "Renewal",
    "Resource",
    "Response",
    "Save",
    "Send",
    "Server",
    "Sessions",
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
    "fixed_token",
    "login",
    "provider",
    "provider_file",
    "providers",
]
__all__ += _records.__all__

if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "TokenSource":
            from ._source import TokenSource

            return TokenSource
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
