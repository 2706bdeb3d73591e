"""Shape D: one message carries one Arrow IPC stream of many events."""

import pyarrow as pa

from fraiseql_assets.events.columns import Unfit, stored_at, timestamps_in_range
from fraiseql_assets.events.messages import Messages
from fraiseql_assets.events.schema import EVENT_SCHEMA, STREAM_COLUMNS

CONTENT_TYPE = "application/vnd.apache.arrow.stream"

PRODUCER_SCHEMA = pa.schema([field for field in EVENT_SCHEMA if field.name not in STREAM_COLUMNS])
"""What a producer writes: all but the columns that the log decides."""


def is_arrow(headers: dict[str, str] | None) -> bool:
    """Whether a message says that it carries Arrow."""
    return bool(headers) and headers.get("Content-Type", "").lower() == CONTENT_TYPE


def rows_of(messages: Messages, number: int) -> list[pa.RecordBatch]:
    """The events of one message, in `EVENT_SCHEMA`. No row becomes a Python object.

    Dictionaries, large and view strings, and other units of time are cast; additions that the
    producer does not know yet are null.

    Raises:
        Unfit: the payload is no Arrow stream, or its schema or values are not an event's.
    """
    try:
        with pa.ipc.open_stream(messages.payloads[number]) as reader:
            table = reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise Unfit(f"no Arrow IPC stream: {' '.join(str(error).split())}") from error
    table = _fit(table).combine_chunks()
    rows = table.num_rows
    if not rows:
        raise Unfit("the Arrow stream holds no rows")
    place = {
        "stream_seq": pa.repeat(pa.scalar(messages.sequences[number], pa.uint64()), rows),
        "stream_row": pa.array(range(rows), pa.uint32()),
        "stream_time": pa.repeat(stored_at([messages.times[number]])[0], rows),
    }
    [batch] = table.to_batches()
    arrays = [place[name] if name in place else batch.column(name) for name in EVENT_SCHEMA.names]
    return [pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA)]


def _fit(table: pa.Table) -> pa.Table:
    """The table in the producers' schema."""
    unknown = [n for n in table.column_names if n not in EVENT_SCHEMA.names]
    if unknown or len(set(table.column_names)) != len(table.column_names):
        raise Unfit(f"columns that no event has: {', '.join(unknown) or 'one of them twice'}")
    columns: list[pa.ChunkedArray] = []
    for field in PRODUCER_SCHEMA:
        if field.name not in table.column_names:
            if not field.nullable:
                raise Unfit(f"the column {field.name} is missing")
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
            continue
        columns.append(_cast(table[field.name], field))
    fitted = pa.table(columns, schema=PRODUCER_SCHEMA)
    timestamps_in_range(fitted["timestamp"])
    return fitted


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        # Finer times are cut to microseconds, as everywhere.
        cast = column.cast(field.type, safe=not pa.types.is_timestamp(column.type))
        cast.validate(full=True)
    except pa.ArrowException as error:
        text = " ".join(str(error).split())
        raise Unfit(
            f"the column {field.name} is {column.type} and cannot become {field.type}: {text}"
        ) from error
    if cast.null_count and not field.nullable:
        raise Unfit(f"the column {field.name} holds {cast.null_count} nulls and may hold none")
    return cast
