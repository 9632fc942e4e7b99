"""`Client`: combines the native client with the generated operations."""

from __future__ import annotations

from ._configured import Configured
from ._keywords import Constructor
from ._native import FINGERPRINT as NATIVE
from ._native import Client as NativeClient
from ._ops import FINGERPRINT, Operations

# Type checkers treat this as true; importing rarely used modules would slow every import of the package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._exchanges import Exchanges

# Both halves must agree on the arguments of each operation.
if NATIVE != FINGERPRINT:
    raise ImportError("the native half of oauth_core is of another release: reinstall the package")


class Client(Configured, NativeClient, Operations):
    """A client at one server.

    Give either ``client_id`` or ``registered``, the ``stored`` client of ``register()``, which contains the id, the
    redirect URIs and the authentication method of the registration (``stored.issuer`` at another server); pass
    ``client_auth`` only for a key or a certificate. Without both, the client has no id yet: it can register, and
    operations that need an id are refused with ``client_auth.client_id``.

    Give either ``client_auth`` or ``client_secret``; the latter is sent by the method of the server's preset or
    metadata. ``redirect_uris`` are all registered ones: any other is refused before it is sent. ``headers`` are
    added to every request to the server. ``timeout`` is the limit of one request in seconds, 30 unless the
    ``network`` sets another. ID tokens are accepted with the algorithms of the server's metadata, or only with
    ``id_token_signed_response_alg`` if that is set, which an HMAC requires; their audience may also contain
    ``trusted_audiences``. A client that is registered for encrypted ID tokens, or for
    UserInfo that is signed or encrypted, sets the options named like its metadata, such as
    ``id_token_encrypted_response_alg``, and ``decryption_keys`` in PEM or as JWKs, the newest first; any
    other response is then refused. If the algorithm needs a shared key and none is given, it is derived from
    the client secret (OpenID Connect Core section 10.2). ``access_token_encryption_alg`` and ``access_token_encryption_enc``
    are the encryption of access tokens for an API that verifies them as this client (RFC 9068 section 4), with
    the same keys: plain ones are then refused. ``authorization_signed_response_alg`` and its
    companions are those of authorization responses, if signed ones are requested (JARM).
    ``request_object_signing_alg`` signs every authorization request (RFC 9101), with
    ``request_object_signing_key`` or the key of ``client_auth``; ``request_object_encryption_alg`` and
    ``request_object_encryption_enc`` then encrypt it to a key of the server. ``tls_client_certificate_bound_access_tokens``
    binds tokens to the certificate of the ``network`` (RFC 8705), whose thumbprint is stored with them: a token for
    another certificate is renewed instead of sent. Tokens are bound to ``dpop_key`` if it is given, and unbound
    ones are refused (RFC 9449). ``profile`` is a set of rules
    that the client enforces: ``oauth21``, ``strict``, ``fapi2_security`` or ``fapi2_message_signing``; what it
    forbids is refused with ``profile.forbidden``, which names the clause. Raises ``client_auth.*``, ``key.*``
    and ``redirect_uri.refused`` for arguments that cannot be used.

    Every call that does I/O comes in two forms: a blocking method, which releases the GIL, and a coroutine
    for asyncio with the prefix ``a``. ``scope`` is always a string of names separated by spaces, or an iterable
    of names, each a scope-token (RFC 6749 section 3.3), else ``scope.syntax``. ``resource`` are absolute
    URIs (RFC 8707), ``audience`` the names that some servers use instead, ``extra`` parameters that
    the provider documents, and ``authorization_details`` permissions, a list of objects (RFC 9396); all four are sent
    with each request for a token.
    """

    __slots__ = ()

    if not TYPE_CHECKING:
        __new__ = Constructor(NativeClient)

    @property
    def exchange(self) -> Exchanges:
        """The operations without any transport, as exchanges."""
        from ._exchanges import Exchanges

        return Exchanges(self)
