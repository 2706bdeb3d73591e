"""`Tail` tickets: new events as the log stores them, until the client goes away."""

from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.fan_out import FanOut
from flight_service.flights import Flight
from flight_service.log_source import batching_of
from flight_service.tickets import Ticket
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.tenants import rows_of


class Tail(Ticket, frozen=True):
    """Events from now on, as they were published; all, or of one entity type."""

    entity_type: str | None = None


class TailFlights:
    """The flights of `Tail` tickets."""

    def __init__(self, settings: Settings) -> None:
        def open_log() -> Log:
            return Log(settings, name="fraiseql flight tail", reconnect_seconds=30)

        self._events = FanOut(open_log, batching_of(settings))

    def resolve(self, ticket: Tail, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`."""
        return Flight(
            EVENT_SCHEMA, partial(self._stream, ticket, tenant_of(principal)), is_endless=True
        )

    def _stream(
        self, ticket: Tail, tenant: str | None, cancellation: Cancellation
    ) -> Iterator[pa.RecordBatch]:
        followed = self._events.follow(cancellation)
        # A client that has the schema gets everything that is published after that.
        next(followed)
        return _of_type(followed, ticket.entity_type, tenant)


def _of_type(
    followed: Generator[list[pa.RecordBatch]], entity_type: str | None, tenant: str | None
) -> Iterator[pa.RecordBatch]:
    with closing(followed):
        for batch in chain.from_iterable(followed):
            kept = rows_of(batch, tenant)
            if entity_type is not None:
                kept = kept.filter(pc.field("entity_type") == entity_type)
            if kept.num_rows:
                yield kept
