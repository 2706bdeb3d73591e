"""The base of both planes' readers: a tenant, and one client that readers of all tenants share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Generic, Self, TypeVar

from fraiseql_assets.settings import Settings

Client = TypeVar("Client")


class TenantReader(ABC, Generic[Client]):
    """Reads the rows of one tenant, or of all. Connects on first use."""

    def __init__(
        self,
        settings: Settings,
        *,
        tenant: str | None = None,
        connected: Callable[[], Client] | None = None,
    ) -> None:
        """With a tenant, only its rows are read. `connected` returns the client of another reader
        of the same settings."""
        self._settings, self._tenant = settings, tenant
        self._connected = connected or cache(lambda: self._connect(settings))

    @staticmethod
    @abstractmethod
    def _connect(settings: Settings) -> Client:
        """A client of the plane's server."""

    def of_tenant(self, tenant: str | None) -> Self:
        """A reader of this tenant's rows, or of all rows, over the same client."""
        return type(self)(self._settings, tenant=tenant, connected=self._connected)

    @property
    def _client(self) -> Client:
        return self._connected()
