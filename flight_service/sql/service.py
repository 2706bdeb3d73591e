"""Flight SQL: the flights of commands, and the handlers of actions and bound values."""

import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
from google.protobuf.message import Message

from flight_service.access import SQL, check_scope
from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest, Unimplemented
from flight_service.flights import Extent, Flight, Part
from flight_service.identity.signing import fingerprint
from flight_service.sql import info, type_info
from flight_service.sql.catalogue import Catalogue, DayRange, DivisibleExecution, Execution
from flight_service.sql.commands import SqlCommand, decode, pack
from flight_service.sql.handles import Handle, Handles
from flight_service.sql.metadata import Metadata
from flight_service.sql.planning import Defaults, Planned, plan
from flight_service.sql.prepared import PreparedStatements
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.sql.recently_used import RecentlyUsed
from flight_service.sql.running_statements import RunningStatements
from flight_service.sql.sessions import Sessions
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.tracing import span

MOST_EXECUTIONS = 1000
"""How many executions are stored between GetFlightInfo and DoGet."""
BATCH_ROWS = 8192


class FlightSql:
    """Flight SQL over some catalogues. Thread-safe."""

    def __init__(
        self,
        catalogues: Sequence[Catalogue],
        *,
        is_guarded: bool,
        key: bytes | None = None,
        ingests: bool = False,
    ) -> None:
        """With `is_guarded`, principals are identified by tokens and need the scope for SQL.
        Handles of statements are signed with `key`; without it, they are valid as long as this
        object exists. `ingests` says whether rows can be written, by `flight_service.writing`."""
        self._catalogues = catalogues
        self._is_guarded, self._ingests = is_guarded, ingests
        self._metadata = Metadata(catalogues)
        self._handles = Handles(key)
        self._executions: RecentlyUsed[Execution] = RecentlyUsed(MOST_EXECUTIONS)
        self.prepared = PreparedStatements()
        self.running = RunningStatements()
        self.sessions = Sessions(tuple(one.name for one in catalogues))

    def check(self, principal: Principal) -> None:
        """Refuses principals that may not send SQL; see `flight_service.access`."""
        check_scope(principal, SQL, "Flight SQL", is_guarded=self._is_guarded)

    def resolve(self, ticket: SqlCommand, principal: Principal) -> Flight:
        """The flight of a command; see `flight_service.flights.Resolver`. The schema of a statement
        is requested from its engine."""
        self.check(principal)
        command = decode(ticket.packed)
        match command:
            case protocol.CommandStatementQuery(query=text):
                defaults = self.sessions.defaults(ticket.session, principal)
                planned = self.plan(text, principal, defaults)
                handle = Handle(
                    secrets.token_hex(16),
                    text=text,
                    catalogue=defaults.catalogue,
                    schema=defaults.schema,
                )
                return self._announced(
                    handle, planned.execution(principal), planned.size, principal
                )
            case protocol.CommandPreparedStatementQuery(prepared_statement_handle=name):
                prepared = self.prepared.get(text_of(name), principal)
                handle = Handle(secrets.token_hex(16), prepared=text_of(name))
                return self._announced(
                    handle, prepared.execution(principal), prepared.size, principal
                )
            case protocol.TicketStatementQuery(statement_handle=signed):
                return self._flight(self._handles.verify(signed, principal), principal)
            case protocol.CommandGetSqlInfo(info=wanted):
                known = partial(info.sql_info, list(wanted), ingests=self._ingests)
                return _held(info.SCHEMA, known, ticket)
            case protocol.CommandGetXdbcTypeInfo():
                kind = command.data_type if command.HasField("data_type") else None
                return _held(type_info.SCHEMA, partial(type_info.xdbc_type_info, kind), ticket)
        schema = self._metadata.schema(command)
        if schema is not None:
            return _held(schema, partial(self._metadata.table, command, principal), ticket)
        raise refusal(command)

    def plan(self, text: str, principal: Principal, defaults: Defaults) -> Planned:
        """See `flight_service.sql.planning.plan`."""
        with span("plan SQL"):
            return plan(text, self._catalogues, principal, defaults)

    def handle_of(self, ticket: bytes, principal: Principal) -> Handle:
        """The handle in a statement's ticket.

        Raises:
            InvalidRequest: it is not the ticket of a statement, or belongs to another principal.
        """
        command = decode(ticket)
        if not isinstance(command, protocol.TicketStatementQuery):
            raise InvalidRequest("Only statements can be cancelled; this is a metadata command.")
        return self._handles.verify(command.statement_handle, principal)

    def _announced(
        self, handle: Handle, execution: Execution, size: int, principal: Principal
    ) -> Flight:
        """The content of GetFlightInfo for an execution, and its tickets."""

        def extent(_: Cancellation) -> Extent:
            ranges: Sequence[DayRange] = ()
            if isinstance(execution, DivisibleExecution):
                ranges = execution.day_ranges()
            self._executions.put(handle.id, execution, size=size, owner=fingerprint(principal))
            parts = [self._part(handle, days, principal) for days in ranges or (None,)]
            return Extent(parts=tuple(parts))

        return Flight(execution.schema, self._stream(handle.id, execution), extent)

    def _part(self, handle: Handle, days: DayRange | None, principal: Principal) -> Part:
        """An endpoint of an execution: for the rows of these days, or for all. All endpoints have
        the execution's id, by which it is cancelled."""
        about: dict[str, str] = {}
        if days is not None:
            handle = msgspec.structs.replace(handle, days=(days.first, days.last))
            about = {"first_day": f"{days.first}", "last_day": f"{days.last}"}
        signed = self._handles.sign(handle, principal)
        ticket = pack(protocol.TicketStatementQuery(statement_handle=signed))
        return Part(SqlCommand(packed=ticket), about)

    def _flight(self, handle: Handle, principal: Principal) -> Flight:
        # The other parts need it too.
        kept = self._executions.get if handle.days else self._executions.take
        execution = kept(handle.id) or self._executed_again(handle, principal)
        if handle.days:
            if not isinstance(execution, DivisibleExecution):
                raise InvalidRequest("The statement has no parts. Call GetFlightInfo again.")
            execution = execution.of_days(DayRange(*handle.days))
        return Flight(execution.schema, self._stream(handle.id, execution))

    def _executed_again(self, handle: Handle, principal: Principal) -> Execution:
        """The execution of a handle that is not stored any more."""
        if handle.prepared and handle.days:
            # Other values may be bound to the statement by now, and the other parts have the old.
            raise InvalidRequest("The execution is not stored any more. Call GetFlightInfo again.")
        if handle.prepared:
            return self.prepared.get(handle.prepared, principal).execution(principal)
        defaults = Defaults(handle.catalogue, handle.schema)
        return self.plan(handle.text, principal, defaults).execution(principal)

    def _stream(self, id: str, execution: Execution) -> Any:
        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            return self.running.batches(id, execution, cancellation)

        return stream


def refusal(command: Message) -> Exception:
    """The error for a message of the protocol that is not supported."""
    name = command.DESCRIPTOR.name
    if "Substrait" in name:
        return Unimplemented("This service takes SQL, and no Substrait plans")
    if "Ingest" in name:
        return Unimplemented("An ingest is sent with DoPut, and gives no flight")
    if "Update" in name:
        return Unimplemented(
            "Statements only read here. Write to FraiseQL, or ingest rows into what "
            "FRAISEQL_WRITABLE lists"
        )
    return InvalidRequest(f"{name} is no command that gives a flight.")


def text_of(name: bytes) -> str:
    """A handle of a prepared statement as text; an invalid one matches no statement."""
    return name.decode("ascii", errors="replace")


def _held(schema: pa.Schema, table: Any, ticket: SqlCommand) -> Flight:
    """A flight of a table that is computed when it is read."""

    def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        yield from table().to_batches(max_chunksize=BATCH_ROWS)

    return Flight(schema, stream, lambda _: Extent(parts=(Part(ticket),)))
