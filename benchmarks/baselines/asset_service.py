"""The server of the Flight service, with everything it does per call, over one asset in memory.

It serves the asset over Flight and HTTP, and the same rows as a table of Flight SQL. The asset has
several partitions of the same rows.
"""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
from memory_catalogue import Memory
from table import DAYS, ROWS, batches
from table_service import run

from flight_service.assets import Asset, AssetFlights, named
from flight_service.authentication import Principal
from flight_service.columns import with_columns
from flight_service.flight_http import flight_routes
from flight_service.flights import Extent, Flight, Part
from flight_service.limits import StreamLimits
from flight_service.registry import Registry
from flight_service.sql.actions import SqlActions
from flight_service.sql.commands import SqlCommand
from flight_service.sql.service import FlightSql
from flight_service.tickets import TicketReader
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import ANALYTICS_EVENTS
from fraiseql_assets.settings import get_settings


class Held:
    """An asset with the same rows on each day."""

    def __init__(self, sent: list[pa.RecordBatch]) -> None:
        self._sent = sent

    @property
    def schema(self) -> pa.Schema:
        return self._sent[0].schema

    def of_tenant(self, tenant: str | None) -> "Held":
        return self

    def extent(self, ticket: Asset, cancellation: Cancellation) -> Extent:
        days = [day for day in DAYS if ticket.covers(day)]
        parts = (
            Part(
                Asset(asset=ticket.asset, partition=day),
                {"partition": day.isoformat(), "rows": ROWS},
            )
            for day in days
        )
        return Extent(rows=ROWS * len(days), parts=tuple(parts))

    def stream(self, ticket: Asset, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        for day in DAYS:
            if ticket.covers(day):
                yield from self._sent


def serve() -> None:
    """Serves until SIGTERM."""
    settings, sent = get_settings(), batches()
    assets = AssetFlights({ANALYTICS_EVENTS.key: Held(sent)})

    def unversioned(ticket: Asset, principal: Principal) -> Flight:
        # No plane has a ledger that the rows' version could be made of.
        return replace(assets.resolve(ticket, principal), asset=None)

    resolve = with_columns(unversioned)
    sql = FlightSql([Memory(sent * len(DAYS))], is_guarded=False)
    limits = StreamLimits(settings)
    routes = flight_routes(assets, resolve, TicketReader([Asset], named), settings, limits)
    registry = Registry(
        {Asset: resolve, SqlCommand: sql.resolve},
        named,
        (assets.listing,),
        routes=routes,
        sql=SqlActions(sql),
        limits=limits,
    )
    run(registry)


if __name__ == "__main__":
    serve()
