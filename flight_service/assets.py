"""`Asset` tickets: the rows of a data asset, all or by partition."""

from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from typing import Any, ClassVar, Protocol

import msgspec
import pyarrow as pa

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.dates import FIRST_DAY, LAST_DAY, outside_days
from flight_service.errors import InvalidRequest, UnknownName
from flight_service.flights import Extent, Flight, Listed
from flight_service.tickets import Ticket, explained, shown
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import BY_KEY
from fraiseql_assets.planes import PlaneOff


class Asset(Ticket, frozen=True):
    """The rows of an asset: one partition, the partitions from `start` to `end`, or all."""

    asset: str
    partition: date | None = None
    start: date | None = None
    """The first partition."""
    end: date | None = None
    """The last partition, included."""

    older: ClassVar[Mapping[str, str]] = {"start_date": "start", "end_date": "end"}

    @property
    def whole(self) -> bool:
        """Whether it selects every partition."""
        return self.partition is None and self.start is None and self.end is None

    def covers(self, day: date) -> bool:
        """Whether it selects the partition of this day."""
        if self.partition is not None:
            return day == self.partition
        return (self.start or FIRST_DAY) <= day <= (self.end or LAST_DAY)


class AssetSource(Protocol):
    """Reads one asset."""

    @property
    def schema(self) -> pa.Schema: ...

    def of_tenant(self, tenant: str | None) -> "AssetSource":
        """The same asset with only this tenant's rows, and counts of these rows; with all rows if
        `tenant` is None."""
        ...

    def extent(self, ticket: Asset, cancellation: Cancellation) -> Extent:
        """The size of the selected rows, by partition. Raises some error when it is cancelled."""
        ...

    def stream(self, ticket: Asset, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        """The rows that the ticket selects."""
        ...


class AssetFlights:
    """Flights of `Asset` tickets."""

    def __init__(self, sources: Mapping[str, AssetSource]) -> None:
        self._sources = sources

    def resolve(self, ticket: Asset, principal: Principal) -> Flight:
        """The flight of an asset; see `flight_service.flights.Resolver`."""
        source = self._sources.get(ticket.asset)
        if source is None and ticket.asset in BY_KEY:
            raise PlaneOff(BY_KEY[ticket.asset].plane)
        if source is None:
            raise UnknownName(
                f"There is no asset {shown(ticket.asset)}. There are: {', '.join(self._sources)}."
            )
        _check_days(ticket)
        asset, tenant = BY_KEY[ticket.asset], tenant_of(principal)
        source = source.of_tenant(tenant)
        return Flight(
            schema=source.schema,
            stream=partial(source.stream, ticket),
            extent=partial(source.extent, ticket),
            extent_key=(ticket, tenant),
            asset=asset.key,
            about={
                "asset": asset.key,
                "description": asset.description,
                "kinds": asset.kinds,
                "table": asset.table,
            },
        )

    def listing(self, principal: Principal) -> list[Listed]:
        """Every asset, with all partitions, in the catalogue's order."""
        return [Listed(key, Asset(asset=key)) for key in BY_KEY if key in self._sources]


BY_TABLE = {asset.table: key for key, asset in BY_KEY.items() if asset.plane == "analytics"}
"""The assets of the analytics plane by the names of their tables and views."""


def named(name: str, variables: Mapping[str, Any]) -> Ticket:
    """The ticket of an asset by its key or its table in the analytics plane; `variables` set its
    other fields."""
    key = BY_TABLE.get(name, name)
    fields: dict[str, Any] = {**variables, "asset": key, "type": Asset.__name__}
    try:
        return msgspec.convert(fields, Asset)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explained(error, Asset)) from error


def _check_days(ticket: Asset) -> None:
    if ticket.partition and (ticket.start or ticket.end):
        raise InvalidRequest("The ticket has a partition and a start or end. Give one of them.")
    if ticket.start and ticket.end and ticket.start > ticket.end:
        raise InvalidRequest(
            f"The ticket's field start, {ticket.start}, lies after its end, {ticket.end}."
        )
    for field in ("partition", "start", "end"):
        day = getattr(ticket, field)
        if day and not FIRST_DAY <= day <= LAST_DAY:
            raise outside_days(field)
