"""`Tail` tickets: events as the log stores them, until the client disconnects.

A subscription of DoExchange is the same: its fields are those of the ticket.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
import pyarrow as pa

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.data_conditions import DataConditions, parse_conditions
from flight_service.dates import beginning
from flight_service.errors import InvalidRequest
from flight_service.event_filters import EventFilter, rows_from
from flight_service.flights import Flight
from flight_service.flushing import Flushing, Position, flushed
from flight_service.log_source import batching_of
from flight_service.tail_fan_out import EventsGone, FanOut
from flight_service.tickets import Ticket
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.events.shapes import KNOWN_TYPES
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.tenants import rows_of

Names = str | list[str] | None
Sequence = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Tail(Ticket, frozen=True):
    """Events from a time, from a sequence or from now on, all or filtered."""

    entity_type: Names = None
    event_type: Names = None
    entity_id: Names = None
    tenant_id: Names = None
    filter: str | None = None
    """Comparisons on paths of `data`; see `flight_service.data_conditions`."""
    start_date: str | None = None
    """The first date or RFC 3339 time of storage, inclusive."""
    start_sequence: Sequence | None = None
    """The first sequence of the log."""
    start_row: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    """The first row within the message of that sequence."""
    flush_rows: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    """The maximum number of rows in a batch, if events may wait for more."""
    flush_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] | None = None
    """How long events may wait to be sent in one batch."""


def new_events(settings: Settings) -> FanOut:
    """The new events of the log, shared by all clients."""
    return FanOut(partial(open_log, settings), batching_of(settings))


def open_log(settings: Settings) -> Log:
    """A connection to the log that survives a restart of the server."""
    return Log(settings, name="fraiseql flight tail", reconnect_seconds=30)


class TailFlights:
    """The flights of `Tail` tickets."""

    def __init__(self, settings: Settings, events: FanOut) -> None:
        self._open_log = partial(open_log, settings)
        self._batch_rows = settings.batch_rows
        self._events = events

    def resolve(self, ticket: Tail, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`."""
        start = beginning(ticket.start_date, "start_date")
        if start is not None and ticket.start_sequence is not None:
            raise InvalidRequest("The ticket has start_date and start_sequence. Send one of them.")
        if ticket.start_row is not None and ticket.start_sequence is None:
            raise InvalidRequest("The ticket has start_row without start_sequence.")
        wanted = EventFilter(_columns(ticket), _conditions(ticket.filter))
        tenant = tenant_of(principal)

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            flushing = Flushing(
                ticket.flush_rows or self._batch_rows, (ticket.flush_ms or 0) / 1000
            )
            first = self._first(ticket, start)
            followed = self._events.follow(cancellation, first, flushing.tick_seconds)
            # A client that has received the schema gets every event that is published later.
            next(followed)
            found = _found(followed, first, ticket.start_row or 0, tenant, wanted)
            return flushed(found, EVENT_SCHEMA, flushing)

        return Flight(EVENT_SCHEMA, stream, is_endless=True)

    def _first(self, ticket: Tail, start: datetime | None) -> int | None:
        """The first sequence, None for new events only.

        Raises:
            EventsGone: the log no longer holds it.
            InvalidRequest: the log has assigned neither it nor its predecessor.
        """
        if start is not None:
            with self._open_log() as log:
                position = log.first_since(start)
                return log.bounds().last + 1 if position is None else position
        if ticket.start_sequence is None:
            return None
        with self._open_log() as log:
            bounds = log.bounds()
        if ticket.start_sequence < bounds.first:
            raise EventsGone(ticket.start_sequence, bounds.first)
        if ticket.start_sequence > bounds.last + 1:
            raise InvalidRequest(
                f"The ticket's field start_sequence is {ticket.start_sequence}, and the log ends "
                f"at {bounds.last}. It was made anew, if it reached that far before."
            )
        return ticket.start_sequence


def _found(
    followed: Generator[list[pa.RecordBatch]],
    first: int | None,
    row: int,
    tenant: str | None,
    wanted: EventFilter,
) -> Iterator[tuple[list[pa.RecordBatch], Position | None]]:
    """The matching rows, and the position up to which the log was read; see `flushing.flushed`."""
    with closing(followed):
        for batches in followed:
            looked = Position.behind(batches[-1]) if batches else None
            found = []
            for batch in batches:
                begun = batch if first is None else rows_from(batch, first, row)
                kept = wanted.rows(rows_of(begun, tenant))
                if kept.num_rows:
                    found.append(kept)
            yield found, looked


def _columns(ticket: Tail) -> dict[str, tuple[str, ...]]:
    """The accepted values, by column."""
    asked = {
        "entity_type": ticket.entity_type,
        "event_type": ticket.event_type,
        "entity_id": ticket.entity_id,
        "tenant_id": ticket.tenant_id,
    }
    columns = {
        name: (names,) if isinstance(names, str) else tuple(names)
        for name, names in asked.items()
        if names is not None
    }
    if kinds := columns.get("event_type"):
        columns["event_type"] = tuple(KNOWN_TYPES.get(kind.lower(), kind) for kind in kinds)
    return columns


def _conditions(text: str | None) -> DataConditions | None:
    return parse_conditions(text) if text and text.strip() else None
