"""The targets that a client may write to, and DoPut."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import flight

from flight_service.access import WRITE, check_scope
from flight_service.authentication import Principal
from flight_service.errors import Forbidden, InvalidRequest, Unimplemented, UnknownName
from flight_service.tickets import Ticket, TicketReader, shown
from flight_service.writing.acknowledgements import Acknowledgements
from flight_service.writing.ingest import is_ingest, result_of, target_of
from flight_service.writing.receiving import Stream, chunks, receive
from flight_service.writing.sink import Sink, Stored
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings

EVENTS = "events"
"""The name of the log as a target."""

Open = Callable[[str, Principal, Stored, Cancellation], Sink]
"""Opens a sink for a name and a principal. The cancellation ends its waits."""


class Upload(Ticket, frozen=True):
    """A stream of rows for `events` or for a table of PostgreSQL."""

    table: str


class Writing:
    """Writes to the targets that the settings allow."""

    def __init__(self, settings: Settings, open_events: Open, open_table: Open | None) -> None:
        """`open_table` opens tables of PostgreSQL; None if there is no database."""
        self._writable = frozenset(settings.writable)
        self._is_guarded = settings.is_guarded
        self._open_events, self._open_table = open_events, open_table
        self._reader = TicketReader([Upload], _named)

    def ticket(self, descriptor: flight.FlightDescriptor) -> Upload:
        """The target in a descriptor.

        Raises:
            InvalidRequest: it is neither a name nor an `Upload` ticket nor an ingest.
            Unimplemented: it is an ingest that does more than append.
        """
        if is_ingest(descriptor.command or b""):
            return Upload(table=target_of(descriptor.command))
        ticket = self._reader.read_descriptor(descriptor)
        assert isinstance(ticket, Upload)
        return ticket

    def open(
        self, table: str, principal: Principal, on_stored: Stored, cancellation: Cancellation
    ) -> Sink:
        """A sink for a table or `events`.

        Raises:
            Unimplemented: writing is switched off.
            Forbidden: the principal lacks the scope, or the settings do not allow the table.
            UnknownName: there is no such table.
        """
        if not self._writable:
            raise Unimplemented(
                "Writing is switched off. FRAISEQL_WRITABLE lists what can be written, such as "
                '["events"]'
            )
        check_scope(principal, WRITE, "Writing", is_guarded=self._is_guarded)
        if table not in self._writable:
            raise Forbidden(
                f"{shown(table)} cannot be written: FRAISEQL_WRITABLE does not list it."
            )
        if table == EVENTS:
            return self._open_events(table, principal, on_stored, cancellation)
        if self._open_table is None:
            raise UnknownName(f"There is no table {shown(table)}: this service has no database.")
        return self._open_table(table, principal, on_stored, cancellation)

    def put(
        self,
        table: str,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
        principal: Principal,
        stream: Stream,
        *,
        is_ingest: bool = False,
    ) -> None:
        """Writes the rows of a DoPut, and sends receipts as JSON: one for each batch of events, and
        a final one. An ingest is answered with the number of its rows alone.

        Raises:
            ServiceError: a batch could not be written; the message says which one, and what is
            stored.
        """

        def send(answer: bytes) -> None:
            writer.write(pa.py_buffer(answer))

        if is_ingest:
            sink = self.open(table, principal, lambda _: None, stream.cancellation)
            send(result_of(receive(sink, chunks(reader, sink), stream).rows))
            return
        with Acknowledgements(send) as acknowledgements:
            sink = self.open(table, principal, acknowledgements.put, stream.cancellation)
            acknowledgements.put(receive(sink, chunks(reader, sink), stream))


def _named(name: str, variables: Mapping[str, Any]) -> Upload:
    if variables:
        raise InvalidRequest(f"{shown(name)} is written to without variables.")
    return Upload(table=name)
