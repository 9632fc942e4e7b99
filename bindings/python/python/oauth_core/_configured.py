"""The constructors of ``Client`` from client files and environment variables."""

from __future__ import annotations

from ._native import ClientSettings, adiscover, discover

# Type checkers treat this as true; these imports would take longer than the rest of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Any, Literal, TypeVar

    from typing_extensions import Self

    from ._native import Server

    Transport = Literal["https", "loopback_http"]
    Environ = Mapping[str, str] | None
    FilePath = str | os.PathLike[str]
    _Client = TypeVar("_Client", bound="Configured")


class Configured:
    """The constructors of a client that is configured outside the program. A base class of ``Client``."""

    __slots__ = ()

    @classmethod
    def from_env(cls, *, environ: Environ = None, transport: Transport = "https", **options: Any) -> Self:
        """A client from environment variables, with no settings in the code.

        ``OAUTH_ISSUER``, or ``OAUTH_PROVIDER`` for a preset (with ``OAUTH_PROVIDER_TENANT`` and the like for its
        variables); ``OAUTH_CLIENT_ID``; ``OAUTH_REDIRECT_URIS``, separated by spaces. At most one of
        ``OAUTH_CLIENT_SECRET``, ``OAUTH_CLIENT_SECRET_FILE``, ``OAUTH_CLIENT_KEY_FILE`` (whose name is
        ``OAUTH_CLIENT_KEY_ID``), ``OAUTH_ASSERTION_FILE`` and ``OAUTH_WORKLOAD``, a platform of ``WorkloadIdentity``
        with ``OAUTH_WORKLOAD_FILE`` or ``OAUTH_WORKLOAD_VARIABLE`` if it needs one; the last two with the audience
        ``OAUTH_ASSERTION_AUDIENCE``, by default the issuer. A platform's token is exchanged for the client's own (RFC
        8693) with ``OAUTH_EXCHANGE_AUDIENCE``. Or ``OAUTH_CLIENT_FILE``, the path of a client file, and no other. An
        empty variable counts as not set.

        The metadata of an issuer is fetched. ``environ`` replaces ``os.environ``, and ``options``
        are those of ``Client``. ``environment.missing`` and ``environment.conflict`` name the variables but not
        their values; ``client_file.*``, ``provider.*``, ``workload.setup``, ``client_file.unreadable``, and the errors
        of ``discover``.
        """
        return cls._configured(ClientSettings.from_env(environ), transport, options)

    @classmethod
    async def afrom_env(cls, *, environ: Environ = None, transport: Transport = "https", **options: Any) -> Self:
        """from_env(), in a coroutine."""
        return await cls._aconfigured(ClientSettings.from_env(environ), transport, options)

    @classmethod
    def from_file(
        cls, path: FilePath, /, *, environ: Environ = None, transport: Transport = "https", **options: Any
    ) -> Self:
        """A client from a client file: Google's, Microsoft Entra's, or a plain one.

        Google's ``client_secret.json``, service account and workload identity federation (``external_account``)
        and Microsoft Entra's credentials are recognised by their members. A plain one is a JSON object with
        ``client_id``; ``issuer``, or ``provider`` with its ``variables``; at most one of ``client_secret``,
        ``private_key`` (with its ``key_id``) and ``workload`` (an object with ``platform``, and ``path``,
        ``variable``, ``audience`` and ``exchange_audience`` as ``WorkloadIdentity`` has them); and ``redirect_uris``.

        The other arguments are those of ``from_env``. ``client_file.malformed`` names the member that is missing, wrong or unknown,
        ``client_file.unsupported`` what is not supported.
        """
        return cls._configured(ClientSettings.from_file(path, environ), transport, options)

    @classmethod
    async def afrom_file(
        cls, path: FilePath, /, *, environ: Environ = None, transport: Transport = "https", **options: Any
    ) -> Self:
        """from_file(), in a coroutine."""
        return await cls._aconfigured(ClientSettings.from_file(path, environ), transport, options)

    @classmethod
    def from_json(
        cls, text: str, /, *, environ: Environ = None, transport: Transport = "https", **options: Any
    ) -> Self:
        """A client from the text of a client file, such as from a secret manager; like ``from_file``."""
        return cls._configured(ClientSettings.from_json(text, environ), transport, options)

    @classmethod
    async def afrom_json(
        cls, text: str, /, *, environ: Environ = None, transport: Transport = "https", **options: Any
    ) -> Self:
        """from_json(), in a coroutine."""
        return await cls._aconfigured(ClientSettings.from_json(text, environ), transport, options)

    @classmethod
    def _configured(cls, settings: ClientSettings, transport: Transport, options: dict[str, Any]) -> Self:
        server, issuer = settings.server(transport)
        if server is None:
            server = discover(issuer, transport=transport, **_transport_options(options))
        return create_client(cls, settings, server, options)

    @classmethod
    async def _aconfigured(cls, settings: ClientSettings, transport: Transport, options: dict[str, Any]) -> Self:
        server, issuer = settings.server(transport)
        if server is None:
            server = await adiscover(issuer, transport=transport, **_transport_options(options))
        return create_client(cls, settings, server, options)


def create_client(cls: type[_Client], settings: ClientSettings, server: Server, options: dict[str, Any]) -> _Client:
    """Creates the client of these settings at this server."""
    client_id, client_auth, redirect_uris = settings.arguments()
    if redirect_uris:
        options = {"redirect_uris": redirect_uris, **options}
    return cls(server, client_id=client_id, client_auth=client_auth, **options)  # type: ignore[call-arg]


def _transport_options(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("timeout", "network") if name in options}
