"""Flight SQL's actions and DoPut: prepared statements, cancellation, sessions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
from google.protobuf.message import Message
from pyarrow import flight

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest, Unimplemented
from flight_service.received import check_undamaged, messages, readable, whole_bytes
from flight_service.sql.commands import decode, expected, pack, parsed
from flight_service.sql.prepared import MOST_BYTES, MOST_ROWS, described
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.sql.service import FlightSql, refusal, text_of
from flight_service.tickets import MAX_BYTES


@dataclass(frozen=True, slots=True)
class Call:
    """The principal and the session of a call."""

    principal: Principal
    session: str


@dataclass(frozen=True, slots=True)
class SqlAction:
    """An action with one response message, or none."""

    description: str
    run: Callable[[bytes, Call], bytes | None]


class SqlActions:
    """The actions of Flight SQL."""

    def __init__(self, sql: FlightSql) -> None:
        self._sql = sql
        self._actions: Mapping[str, SqlAction] = {
            "CreatePreparedStatement": SqlAction("Prepares a statement.", self._prepare),
            "ClosePreparedStatement": SqlAction("Closes a prepared statement.", self._close),
            "CancelFlightInfo": SqlAction("Cancels a statement.", self._cancel),
            "CancelQuery": SqlAction(
                "Cancels a statement; deprecated by CancelFlightInfo.", self._cancel_query
            ),
            "SetSessionOptions": SqlAction(
                "Sets the session's catalogue and schema.", self._set_options
            ),
            "GetSessionOptions": SqlAction(
                "The session's catalogue and schema.", self._get_options
            ),
            "CloseSession": SqlAction("Closes the session.", self._close_session),
            **{
                name: SqlAction("Not offered: this service only reads.", _not_offered)
                for name in ("BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint")
            },
        }

    @property
    def listed(self) -> list[flight.ActionType]:
        """The actions as ListActions shows them."""
        return [
            flight.ActionType(name, action.description)
            for name, action in self._actions.items()
            if action.run is not _not_offered
        ]

    def has(self, name: str) -> bool:
        """Whether an action is one of these."""
        return name in self._actions

    def run(self, asked: flight.Action, call: Call) -> list[flight.Result]:
        """The response of an action."""
        self._sql.check(call.principal)
        if asked.body.size > MAX_BYTES:
            raise InvalidRequest(
                f"The action's body has at most {MAX_BYTES:,} bytes, this one {asked.body.size:,}."
            )
        answer = self._actions[asked.type].run(asked.body.to_pybytes(), call)
        return [] if answer is None else [flight.Result(answer)]

    def put(
        self,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
        principal: Principal,
    ) -> None:
        """Binds the rows of a stream to a prepared statement.

        Raises:
            Unimplemented: the command is an update.
            InvalidRequest: there is no such statement, or values have a wrong type.
        """
        self._sql.check(principal)
        command = decode(descriptor.command)
        if not isinstance(command, protocol.CommandPreparedStatementQuery):
            raise refusal(command)
        handle = command.prepared_statement_handle
        self._sql.prepared.get(text_of(handle), principal)
        values = _read(reader)
        # Messages of Arrow's may have names in them that are no UTF-8.
        with readable("The values"):
            self._sql.prepared.bind(text_of(handle), principal, values)
        result = protocol.DoPutPreparedStatementResult(prepared_statement_handle=handle)
        writer.write(pa.py_buffer(result.SerializeToString()))

    def _prepare(self, body: bytes, call: Call) -> bytes:
        request = expected(body, protocol.ActionCreatePreparedStatementRequest)
        defaults = self._sql.sessions.defaults(call.session, call.principal)
        planned = self._sql.plan(request.query, call.principal, defaults)
        dataset, parameters = described(planned, call.principal)
        handle = self._sql.prepared.add(planned, call.principal)
        return pack(
            protocol.ActionCreatePreparedStatementResult(
                prepared_statement_handle=handle.encode(),
                dataset_schema=b"" if dataset is None else dataset.serialize().to_pybytes(),
                parameter_schema=parameters.serialize().to_pybytes(),
                is_update=False,
            )
        )

    def _close(self, body: bytes, call: Call) -> None:
        request = expected(body, protocol.ActionClosePreparedStatementRequest)
        self._sql.prepared.close(text_of(request.prepared_statement_handle), call.principal)

    def _cancel(self, body: bytes, call: Call) -> bytes:
        request = parsed(base.CancelFlightInfoRequest, body)
        self._cancel_tickets(request.info, call)
        return base.CancelFlightInfoResult(status=base.CANCEL_STATUS_CANCELLED).SerializeToString()

    def _cancel_query(self, body: bytes, call: Call) -> bytes:
        request = expected(body, protocol.ActionCancelQueryRequest)
        self._cancel_tickets(parsed(base.FlightInfo, request.info), call)
        return pack(
            protocol.ActionCancelQueryResult(
                result=protocol.ActionCancelQueryResult.CANCEL_RESULT_CANCELLED
            )
        )

    def _cancel_tickets(self, info: base.FlightInfo, call: Call) -> None:
        if not info.endpoint:
            raise InvalidRequest("The FlightInfo to cancel has no endpoint.")
        handles = [
            self._sql.handle_of(endpoint.ticket.ticket, call.principal)
            for endpoint in info.endpoint
        ]
        for handle in handles:
            self._sql.running.cancel(handle.id)

    def _set_options(self, body: bytes, call: Call) -> bytes:
        request = parsed(base.SetSessionOptionsRequest, body)
        return _bytes(self._sql.sessions.set(call.session, call.principal, request))

    def _get_options(self, body: bytes, call: Call) -> bytes:
        return _bytes(self._sql.sessions.options(call.session, call.principal))

    def _close_session(self, body: bytes, call: Call) -> bytes:
        return _bytes(self._sql.sessions.close(call.session, call.principal))


def _not_offered(body: bytes, call: Call) -> bytes:
    raise Unimplemented("This service has no transactions: every statement only reads")


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _read(reader: flight.MetadataRecordBatchReader) -> pa.Table:
    """The rows of a stream, up to the limit of bound values."""
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    for chunk in messages(reader, "The values"):
        if chunk.data is None:
            continue
        check_undamaged(chunk.data)
        batches.append(chunk.data)
        rows, size = rows + chunk.data.num_rows, size + whole_bytes(chunk.data)
        if rows > MOST_ROWS or size > MOST_BYTES:
            raise InvalidRequest(
                f"At most {MOST_ROWS:,} rows of values, and {MOST_BYTES:,} bytes, can be bound."
            )
    with readable("The values"):
        return pa.Table.from_batches(batches, reader.schema)
