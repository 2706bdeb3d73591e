"""Shape D: one message carries one Arrow IPC stream of many events."""

from collections.abc import Iterable
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.events.columns import Unfit, outside, outside_range, stored_at
from fraiseql_assets.events.messages import Messages, parse_headers
from fraiseql_assets.events.schema import EVENT_SCHEMA, STREAM_COLUMNS

CONTENT_TYPE = "application/vnd.apache.arrow.stream"

PRODUCER_SCHEMA = pa.schema([field for field in EVENT_SCHEMA if field.name not in STREAM_COLUMNS])
"""What a producer writes: all but the columns that the log decides."""

NAMES = ("event_id", "event_type", "entity_type")
"""Texts that say which event, or of what kind: an empty one says nothing."""

COMMON_ROWS = 16_384


def may_be_arrow(headers: Iterable[bytes]) -> bool:
    """Whether any of these messages may say that it carries Arrow."""
    return CONTENT_TYPE.encode() in b"".join(headers).lower()


def is_arrow(headers: bytes) -> bool:
    """Whether a message says that it carries Arrow."""
    return may_be_arrow([headers]) and (
        parse_headers(headers).get("Content-Type", "").lower() == CONTENT_TYPE
    )


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
        # Offsets and indices are a producer's word until they are looked at.
        table.validate(full=True)
        names = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Unfit(f"no Arrow IPC stream: {_one_line(error)}") from error
    rows = table.num_rows
    if not rows:
        raise Unfit("the Arrow stream holds no rows")
    [batch] = _fit(table, names).combine_chunks().to_batches()
    place = {
        "stream_seq": pa.repeat(pa.scalar(messages.sequences[number], pa.uint64()), rows),
        "stream_row": _row_numbers(rows),
        "stream_time": pa.repeat(stored_at([messages.times[number]])[0], rows),
    }
    arrays = [place[name] if name in place else batch.column(name) for name in EVENT_SCHEMA.names]
    return [pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA)]


def _row_numbers(rows: int) -> pa.Array:
    return _numbers((max(rows, COMMON_ROWS) - 1).bit_length()).slice(0, rows)


@cache
def _numbers(bits: int) -> pa.Array:
    return pa.array(range(2**bits), pa.uint32())


def _fit(table: pa.Table, names: list[str]) -> pa.Table:
    """The table in the producers' schema."""
    unknown = [name for name in names if name not in EVENT_SCHEMA.names]
    if unknown or len(set(names)) != len(names):
        raise Unfit(f"columns that no event has: {', '.join(unknown) or 'one of them twice'}")
    columns: list[pa.ChunkedArray] = []
    for field in PRODUCER_SCHEMA:
        if field.name in names:
            columns.append(_cast(table[field.name], field))
        elif field.nullable:
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
        else:
            raise Unfit(f"the column {field.name} is missing")
    fitted = pa.table(columns, schema=PRODUCER_SCHEMA)
    wrong = outside_range(fitted["timestamp"])
    if wrong is not None:
        raise Unfit(outside(f"{wrong} µs from 1970"))
    return fitted


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    if column.null_count and not field.nullable:
        raise Unfit(f"the column {field.name} holds {column.null_count} nulls and may hold none")
    if column.type != field.type:
        column = _converted(column, field)
    if field.name in NAMES and column.index("").as_py() >= 0:
        raise Unfit(f"the column {field.name} holds an empty text")
    return column


def _converted(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    # Finer times are cut to microseconds, as everywhere.
    options = pc.CastOptions(field.type, allow_time_truncate=True)
    try:
        return column.cast(options=options)
    except pa.ArrowException as error:
        raise Unfit(
            f"the column {field.name} is {column.type} and cannot become {field.type}: "
            f"{_one_line(error)}"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
