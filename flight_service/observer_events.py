"""`ObserverEvents` tickets: events of the analytics plane, by entity type and their own time."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import pyarrow as pa

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.dates import beginning, ending
from flight_service.errors import InvalidRequest
from flight_service.flights import Flight
from flight_service.tickets import Ticket
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import ANALYTICS_EVENTS
from fraiseql_assets.planes import PlaneOff

MOST = 2**63 - 1


class ObserverEvents(Ticket, frozen=True):
    """Events, sorted by entity type, time and log position; with `newest` sorted by time."""

    entity_type: str | None = None
    start_date: str | None = None
    """A date or an RFC 3339 time, included."""
    end_date: str | None = None
    """A date, which is included, or an RFC 3339 time, which is excluded."""
    limit: Annotated[int, msgspec.Meta(ge=0, le=MOST)] | None = None
    newest: bool | None = None
    """The last `limit` events instead of the first."""


class ObserverEventFlights:
    """The flights of `ObserverEvents` tickets."""

    def __init__(self, reader: AnalyticsReader | None) -> None:
        self._reader = reader

    def resolve(self, ticket: ObserverEvents, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`."""
        if self._reader is None:
            raise PlaneOff(ANALYTICS_EVENTS.plane)
        reader = self._reader.of_tenant(tenant_of(principal))
        start = beginning(ticket.start_date, "start_date")
        end = ending(ticket.end_date, "end_date")
        if start and end and start >= end and ticket.start_date != ticket.end_date:
            raise InvalidRequest(
                f"The ticket's field start_date, {ticket.start_date}, lies after its end_date, "
                f"{ticket.end_date}."
            )
        if ticket.newest and ticket.limit is None:
            raise InvalidRequest(
                "The ticket asks for the newest events. Say how many in its field limit."
            )

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            return reader.batches(
                ANALYTICS_EVENTS.key,
                entity_type=ticket.entity_type,
                start=start,
                end=end,
                limit=ticket.limit,
                newest=bool(ticket.newest),
                cancellation=cancellation,
            )

        key = ANALYTICS_EVENTS.key
        return Flight(schema=reader.schema(key), stream=stream, asset=key)
