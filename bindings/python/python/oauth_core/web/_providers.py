"""``People``: the part of a site that holds its providers and the grants of their users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .._bridge import result_of_callback
from .._native import ProviderQuery, Grants, WebSite
from ..errors import misuse
from ._visits import Visits

if TYPE_CHECKING:
    from .._client import Client
    from .._native import Provider
    from ..stores import Store

__all__ = ["People"]


class People(Visits):
    """The part of a site that holds its providers: those that are configured, and those that were looked up."""

    _site: WebSite
    _store: Store | None
    _providers: dict[str, Provider]
    _grants: dict[str, Grants]

    def sessions(self, provider: str) -> Grants:
        """The grants of all users of this provider; ``web.setup`` without a store."""
        if self._store is None:
            raise misuse("web.setup", "sessions have tokens only if the site has a store")
        client = self.client_for(provider)
        if provider not in self._grants:
            self._grants[provider] = Grants(client, self._store)
        return self._grants[provider]

    def client_for(self, provider: str) -> Client:
        """The client of a provider. A provider that is not known yet is looked up by the application's hook."""
        if provider not in self._providers and self._find:
            self._add_provider(result_of_callback(self._find(ProviderQuery(id=provider))))
        if provider not in self._providers:
            raise misuse("web.setup", "there is no provider with this id")
        if self._providers[provider].client is None:
            self._drive(self._result_steps(self._site.connect(provider), "resume"))
        client = self._providers[provider].client
        if client is None:
            raise misuse("web.setup", "the client of this provider is not known")
        return cast("Client", client)

    async def look_up(self, provider: str) -> None:
        """Waits until a provider is known, and calls the hook for one that this process has not seen yet, such as
        that of a session from a different process."""
        if provider not in self._providers and self._find:
            found: Any = self._find(ProviderQuery(id=provider))
            self._add_provider(await found if hasattr(found, "__await__") else found)
        if provider in self._providers and self._providers[provider].client is None:
            await self._adrive(self._result_steps(self._site.connect(provider), "aresume"))

    def _add_provider(self, found: Provider | None) -> None:
        if found is not None:
            self._providers[found.id] = found
