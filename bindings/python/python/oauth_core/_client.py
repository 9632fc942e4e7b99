"""The client: the native half, and the generated operations."""

from __future__ import annotations

from ._configured import Configured
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

    Give either ``client_id``, or a client that ``register()`` has ``stored``, as ``registered``: it has the id,
    the redirect URIs and the method of authentication that it is registered with (``stored.issuer`` at another
    server), and needs ``client_auth`` for a key or a certificate alone. With neither it has no id yet: it can
    register one, and whatever else needs an id is refused with ``client_auth.client_id``.

    Give either ``client_secret``, which is used as the server's preset documents it or else as its
    metadata asks, or ``client_auth``. ``redirect_uris`` are all that are registered: any other is refused
    before it is sent. ``headers`` go with every request to the server. ``timeout`` is that of one request
    in seconds, 30 unless the ``network`` says otherwise. ID tokens are accepted with the algorithms that the
    server's metadata name, or with ``id_token_signed_response_alg`` alone, which an HMAC needs; they may
    name ``trusted_audiences`` beside the client. A client that is registered for encrypted ID tokens, or for
    UserInfo that is signed or encrypted, says so with the names of its metadata, such as
    ``id_token_encrypted_response_alg``, and ``decryption_keys`` in PEM or as JWKs, the newest first; any
    other response is then refused. Where the algorithm needs a shared key and none is there, it is made of
    the client secret (OpenID Connect Core section 10.2). ``access_token_encryption_alg`` and ``access_token_encryption_enc``
    say how access tokens are encrypted for an API that verifies them as this client (RFC 9068 section 4), with
    the same keys: plain ones are then refused. ``authorization_signed_response_alg`` and its
    companions say the same of authorization responses, where signed ones are asked for (JARM).
    ``request_object_signing_alg`` signs every authorization request (RFC 9101), with
    ``request_object_signing_key`` or the key of ``client_auth``; ``request_object_encryption_alg`` and
    ``request_object_encryption_enc`` encrypt it after that, to a key of the server. ``tls_client_certificate_bound_access_tokens``
    says that tokens are bound to the certificate of the ``network`` (RFC 8705), whose thumbprint is stored with them: one for another
    certificate is renewed and not sent. Tokens are bound to ``dpop_key``, where it is given, and
    no others are taken (RFC 9449). ``profile`` is a set of rules
    that the client keeps to: ``oauth21``, ``strict``, ``fapi2_security`` or ``fapi2_message_signing``; what it
    forbids is refused with ``profile.forbidden``, which names the clause. Raises ``client_auth.*``, ``key.*``
    and ``redirect_uri.refused`` for arguments that cannot be used.

    Every call that does I/O comes in two forms: a blocking method, which releases the GIL, and a coroutine
    for asyncio with the prefix ``a``. ``scope``, everywhere, is names with spaces between them, or an iterable
    of names, each one scope-token (RFC 6749 section 3.3), else ``scope.syntax``. ``resource`` are absolute
    URIs (RFC 8707), ``audience`` the names that some servers want instead, ``extra`` parameters that
    the provider documents, and ``authorization_details`` permissions, a list of objects (RFC 9396); all four are sent
    with each request for a token.
    """

    __slots__ = ()

    @property
    def exchange(self) -> Exchanges:
        """The operations without any transport, as exchanges."""
        from ._exchanges import Exchanges

        return Exchanges(self)
