"""A bare pyarrow Flight server that sends a table, without authentication."""

import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import flight
from table import batches

from flight_service.sql.commands import pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol

CLOSED = b"\x08\x01"
"""The message CloseSessionResult with the status CLOSED."""


class Bare(flight.FlightServerBase):
    """Sends one table for any ticket, without running Python between the batches. Of Flight SQL it
    has what ADBC needs to read the table as the result of any statement."""

    def __init__(self, location: str, sent: list[pa.RecordBatch]) -> None:
        super().__init__(location)
        self._schema, self._sent = sent[0].schema, sent

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.FlightDataStream:
        """The table."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._sent)
        return flight.RecordBatchStream(reader)

    def get_flight_info(
        self, context: Any, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        """The table as the only endpoint; no endpoint for what the server says of itself."""
        if b"CommandGetSqlInfo" in descriptor.command:
            return flight.FlightInfo(self._schema, descriptor, [], 0, 0)
        return flight.FlightInfo(
            self._schema, descriptor, [flight.FlightEndpoint(b"table", [])], -1, -1
        )

    def do_action(self, context: Any, action: flight.Action) -> Iterator[bytes]:
        """Prepares any statement; closes it, and the session."""
        if action.type == "CreatePreparedStatement":
            schema = self._schema.serialize().to_pybytes()
            yield pack(
                protocol.ActionCreatePreparedStatementResult(
                    prepared_statement_handle=b"table", dataset_schema=schema
                )
            )
        elif action.type == "CloseSession":
            yield CLOSED


if __name__ == "__main__":
    Bare(f"grpc://127.0.0.1:{sys.argv[1]}", batches()).serve()
