"""A bare pyarrow Flight server that sends a table, without authentication."""

import sys
from typing import Any

import pyarrow as pa
from pyarrow import flight
from table import batches


class Bare(flight.FlightServerBase):
    """Sends one table for any ticket, without running Python between the batches."""

    def __init__(self, location: str, sent: list[pa.RecordBatch]) -> None:
        super().__init__(location)
        self._schema, self._sent = sent[0].schema, sent

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.FlightDataStream:
        """The table."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._sent)
        return flight.RecordBatchStream(reader)


if __name__ == "__main__":
    Bare(f"grpc://127.0.0.1:{sys.argv[1]}", batches()).serve()
