"""Flight SQL: commands become flights, and actions and bound values their answers."""

import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
from google.protobuf.message import Message

from flight_service.access import SQL, check_scope
from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.errors import InvalidRequest, Unimplemented
from flight_service.flights import Extent, Flight, Part
from flight_service.identity.signing import fingerprint
from flight_service.sql import info, type_info
from flight_service.sql.catalogue import Catalogue, Execution
from flight_service.sql.commands import SqlCommand, decode, pack
from flight_service.sql.handles import Handle, Handles
from flight_service.sql.metadata import Metadata
from flight_service.sql.planning import Defaults, Planned, plan
from flight_service.sql.prepared import PreparedStatements
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.sql.recent import Recent
from flight_service.sql.running import Running
from flight_service.sql.sessions import Sessions
from fraiseql_assets.tracing import span

MOST_EXECUTIONS = 1000
"""How many executions are remembered between GetFlightInfo and DoGet."""
BATCH_ROWS = 8192


class FlightSql:
    """Flight SQL over some catalogues. Thread-safe."""

    def __init__(
        self, catalogues: Sequence[Catalogue], *, is_guarded: bool, key: bytes | None = None
    ) -> None:
        """With `is_guarded`, principals are known by tokens, and need the scope for SQL. Handles of
        statements are signed with `key`; without one, they are valid as long as this object."""
        self._catalogues = catalogues
        self._is_guarded = is_guarded
        self._metadata = Metadata(catalogues)
        self._handles = Handles(key)
        self._executions: Recent[Execution] = Recent(MOST_EXECUTIONS)
        self.prepared = PreparedStatements()
        self.running = Running()
        self.sessions = Sessions(tuple(one.name for one in catalogues))

    def check(self, principal: Principal) -> None:
        """Refuses who may not send SQL; see `flight_service.access`."""
        check_scope(principal, SQL, "Flight SQL", is_guarded=self._is_guarded)

    def resolve(self, ticket: SqlCommand, principal: Principal) -> Flight:
        """The flight of a command; see `flight_service.flights.Resolver`. Of a statement, its
        engine is asked for the schema."""
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
                return _held(info.SCHEMA, partial(info.sql_info, list(wanted)), ticket)
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
            InvalidRequest: it is no statement's ticket, or of another principal.
        """
        command = decode(ticket)
        if not isinstance(command, protocol.TicketStatementQuery):
            raise InvalidRequest("Only statements can be cancelled; this is a metadata command.")
        return self._handles.verify(command.statement_handle, principal)

    def _announced(
        self, handle: Handle, execution: Execution, size: int, principal: Principal
    ) -> Flight:
        """What GetFlightInfo says of an execution, and what its ticket then stands for."""
        signed = self._handles.sign(handle, principal)
        ticket = pack(protocol.TicketStatementQuery(statement_handle=signed))

        def extent() -> Extent:
            self._executions.put(handle.id, execution, size=size, owner=fingerprint(principal))
            return Extent(parts=(Part(SqlCommand(packed=ticket)),))

        return Flight(execution.schema, self._stream(handle.id, execution), extent)

    def _flight(self, handle: Handle, principal: Principal) -> Flight:
        execution = self._executions.take(handle.id)
        if execution is None and handle.prepared:
            execution = self.prepared.get(handle.prepared, principal).execution(principal)
        elif execution is None:
            defaults = Defaults(handle.catalogue, handle.schema)
            execution = self.plan(handle.text, principal, defaults).execution(principal)
        return Flight(execution.schema, self._stream(handle.id, execution))

    def _stream(self, id: str, execution: Execution) -> Any:
        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            return self.running.batches(id, execution, cancellation)

        return stream


def refusal(command: Message) -> Exception:
    """Why a message is not answered that the protocol has."""
    name = command.DESCRIPTOR.name
    if "Substrait" in name:
        return Unimplemented("This service takes SQL, and no Substrait plans")
    if "Update" in name or "Ingest" in name:
        return Unimplemented(
            "Flight SQL only reads here. Write to FraiseQL, or publish events to NATS JetStream"
        )
    return InvalidRequest(f"{name} is no command that gives a flight.")


def text_of(name: bytes) -> str:
    """A handle of a prepared statement as text; what is none stands for no statement."""
    return name.decode("ascii", errors="replace")


def _held(schema: pa.Schema, table: Any, ticket: SqlCommand) -> Flight:
    """A flight of a table that is made when it is read."""

    def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        yield from table().to_batches(max_chunksize=BATCH_ROWS)

    return Flight(schema, stream, lambda: Extent(parts=(Part(ticket),)))
