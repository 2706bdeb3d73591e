"""`Tail` tickets: new events as the log stores them, until the client goes away."""

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.flights import Flight
from flight_service.log_source import AHEAD, batching_of
from flight_service.tickets import Ticket
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log

ASK_SECONDS = 0.2
"""How often the log's head is asked for."""


class Tail(Ticket, frozen=True):
    """Events from now on, as they were published; all, or of one entity type."""

    entity_type: str | None = None


class TailFlights:
    """The flights of `Tail` tickets.

    Each follows the log's head by itself, in ranges: a slow client reads later, and no event waits
    for it in memory.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def resolve(self, ticket: Tail, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`."""
        return Flight(EVENT_SCHEMA, partial(self._stream, ticket), is_endless=True)

    def _stream(self, ticket: Tail, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        batches = self._follow(ticket.entity_type, cancellation)
        # Whoever has the schema has the place: what is published after that is delivered.
        next(batches)
        return batches

    def _follow(
        self, entity_type: str | None, cancellation: Cancellation
    ) -> Iterator[pa.RecordBatch]:
        """The events from the log's head on, after one empty batch that says the head is known."""
        with Log(self._settings, name="fraiseql flight tail", reconnect_seconds=30) as log:
            following = log.bounds().last + 1
            yield EMPTY
            while not cancellation.wait(ASK_SECONDS):
                last = log.bounds().last
                if last >= following:
                    sequences = SequenceRange(following, last)
                    for messages in log.read(sequences, batching_of(self._settings), ahead=AHEAD):
                        yield from _of_type(decode(messages).batches, entity_type)
                # A stream that was made anew begins at 1 again.
                following = last + 1


EMPTY = pa.RecordBatch.from_pylist([], schema=EVENT_SCHEMA)


def _of_type(batches: list[pa.RecordBatch], entity_type: str | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        kept = (
            batch if entity_type is None else batch.filter(pc.field("entity_type") == entity_type)
        )
        if kept.num_rows:
            yield kept
