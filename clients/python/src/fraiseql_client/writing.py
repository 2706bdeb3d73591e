"""Rows to the log, or to a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from fraiseql_client.transport import Connection

EVENTS = "events"
"""The log among what can be written."""
BATCH_ROWS = 10_000


class ArrowStream(Protocol):
    """Arrow data of any library: a polars frame, a DuckDB relation."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


Rows = pa.Table | pa.RecordBatch | ArrowStream | Mapping[str, Any]
"""What can be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the service has stored."""

    rows: int
    messages: int | None = None
    """How many messages of the log hold the events."""
    duplicates: int | None = None
    """How many of these messages the log had already, and did not store again."""
    first_sequence: int | None = None
    last_sequence: int | None = None
    warnings: tuple[str, ...] = ()
    """What was not taken, such as columns that events do not have."""


def write(connection: Connection, rows: Rows, table: str) -> Written:
    """Writes rows; see `fraiseql_client.Client.write`."""
    whole = pa.table(rows) if not isinstance(rows, pa.RecordBatch) else pa.table([rows])
    if table == EVENTS:
        told = connection.again(lambda: connection.put(table, whole, BATCH_ROWS))
    else:
        told = connection.put(table, whole, BATCH_ROWS)
    return Written(
        rows=told["rows"],
        messages=told.get("messages"),
        duplicates=told.get("duplicates"),
        first_sequence=told.get("first_sequence"),
        last_sequence=told.get("last_sequence"),
        warnings=told["warnings"],
    )
