"""`Tail` tickets: new events as the log stores them, until the client goes away."""

from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.fan_out import FanOut
from flight_service.flights import Flight
from flight_service.log_source import batching_of
from flight_service.tickets import Ticket
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log


class Tail(Ticket, frozen=True):
    """Events from now on, as they were published; all, or of one entity type."""

    entity_type: str | None = None


def new_events(settings: Settings) -> FanOut:
    """The events that the log stores from now on, for all who want them."""

    def open_log() -> Log:
        return Log(settings, name="fraiseql flight tail", reconnect_seconds=30)

    return FanOut(open_log, batching_of(settings))


class TailFlights:
    """The flights of `Tail` tickets."""

    def __init__(self, events: FanOut) -> None:
        self._events = events

    def resolve(self, ticket: Tail, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`."""
        return Flight(EVENT_SCHEMA, partial(self._stream, ticket), is_endless=True)

    def _stream(self, ticket: Tail, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        followed = self._events.follow(cancellation)
        # A client that has the schema gets everything that is published after that.
        next(followed)
        return _of_type(followed, ticket.entity_type)


def _of_type(
    followed: Generator[list[pa.RecordBatch]], entity_type: str | None
) -> Iterator[pa.RecordBatch]:
    with closing(followed):
        for batch in chain.from_iterable(followed):
            kept = (
                batch
                if entity_type is None
                else batch.filter(pc.field("entity_type") == entity_type)
            )
            if kept.num_rows:
                yield kept
