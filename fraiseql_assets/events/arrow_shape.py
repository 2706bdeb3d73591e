# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Shape D: a message with one or several Arrow IPC streams of events."""

from collections.abc import Iterable, Iterator
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.events.columns import InvalidValues, outside, outside_range, stored_at
from fraiseql_assets.events.messages import Messages, header
from fraiseql_assets.events.schema import EVENT_SCHEMA, STREAM_COLUMNS
from fraiseql_assets.one_line import one_line

CONTENT_TYPE = "application/vnd.apache.arrow.stream"

PRODUCER_SCHEMA = pa.schema([field for field in EVENT_SCHEMA if field.name not in STREAM_COLUMNS])
"""The schema of producers: all columns except those that the log assigns."""

NAMES = ("event_id", "event_type", "entity_type")
"""Columns that identify an event or its kind, and may not be empty."""

COMMON_ROWS = 16_384


def may_be_arrow(headers: Iterable[bytes]) -> bool:
    """Whether any of these messages may have the Arrow content type."""
    return CONTENT_TYPE.encode() in b"".join(headers).lower()


def is_arrow(headers: bytes) -> bool:
    """Whether a message has the Arrow content type; parameters of the media type are ignored."""
    if not may_be_arrow([headers]):
        return False
    media_type, _, _ = (header(headers, "Content-Type") or "").partition(";")
    return media_type.strip().lower() == CONTENT_TYPE


def rows_of(messages: Messages, number: int) -> list[pa.RecordBatch]:
    """The events of one message, in `EVENT_SCHEMA`, of all streams that its payload holds.

    Dictionaries, large and view strings, and other units of time are cast. Unknown columns are
    dropped, and missing optional columns are null. Rows do not become Python objects.

    Raises:
        InvalidValues: the payload is not Arrow streams only, or has values that no event can have.
    """
    tables = [producer_table(table) for table in _streams(messages.payloads[number])]
    table = pa.concat_tables(tables)
    if not table.num_rows:
        raise InvalidValues("the Arrow stream holds no rows")
    [batch] = table.combine_chunks().to_batches()
    rows = batch.num_rows
    position = {
        "stream_seq": pa.repeat(pa.scalar(messages.sequences[number], pa.uint64()), rows),
        "stream_row": _row_numbers(rows),
        "stream_time": pa.repeat(stored_at([messages.times[number]])[0], rows),
    }
    arrays = [
        position[name] if name in position else batch.column(name) for name in EVENT_SCHEMA.names
    ]
    return [pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA)]


def _streams(payload: bytes) -> Iterator[pa.Table]:
    """The consecutive streams of a payload.

    Raises:
        InvalidValues: the payload, or its part after a stream, is not an Arrow stream.
    """
    source = pa.BufferReader(payload)
    while not (start := source.tell()) or start < len(payload):
        try:
            with pa.ipc.open_stream(source) as reader:
                table = reader.read_all()
            # Offsets and indices from a producer are not trusted.
            table.validate(full=True)
            _ = table.column_names
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if start:
                raise InvalidValues(
                    f"{len(payload) - start:,} bytes behind the Arrow stream are no Arrow stream: "
                    f"{one_line(error)}"
                ) from error
            raise InvalidValues(f"no Arrow IPC stream: {one_line(error)}") from error
        yield table


def _row_numbers(rows: int) -> pa.Array:
    return _numbers((max(rows, COMMON_ROWS) - 1).bit_length()).slice(0, rows)


@cache
def _numbers(bits: int) -> pa.Array:
    return pa.array(range(2**bits), pa.uint32())


def producer_table(table: pa.Table, *, truncates_times: bool = True) -> pa.Table:
    """The table in the producers' schema; columns are matched by name.

    Times that are finer than a microsecond are truncated, or refused without `truncates_times`.

    Raises:
        InvalidValues: a column is missing or occurs twice, or has values that no event can have.
    """
    names = table.column_names
    columns: list[pa.ChunkedArray] = []
    for field in PRODUCER_SCHEMA:
        if names.count(field.name) > 1:
            raise InvalidValues(f"the column {field.name} is there twice")
        column = _column(table, field.name)
        if column is not None:
            columns.append(_cast(column, field, truncates_times))
        elif field.nullable:
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
        else:
            raise InvalidValues(f"the column {field.name} is missing")
    fitted = pa.table(columns, schema=PRODUCER_SCHEMA)
    wrong = outside_range(fitted["timestamp"])
    if wrong is not None:
        raise InvalidValues(outside(f"{wrong} µs from 1970"))
    return fitted


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | None:
    """A column by its name; older producers write `org_id` for `tenant_id`."""
    found = table[name] if name in table.column_names else None
    if name != "tenant_id" or table.column_names.count("org_id") != 1:
        return found
    older = table["org_id"].cast(pa.utf8())
    return older if found is None else pc.coalesce(found.cast(pa.utf8()), older)


def _cast(column: pa.ChunkedArray, field: pa.Field, truncates_times: bool) -> pa.ChunkedArray:
    if column.null_count and not field.nullable:
        raise InvalidValues(
            f"the column {field.name} holds {column.null_count} nulls and may hold none"
        )
    if column.type != field.type:
        column = _converted(column, field, truncates_times)
    if field.name in NAMES and column.index("").as_py() >= 0:
        raise InvalidValues(f"the column {field.name} holds an empty text")
    return column


def _converted(column: pa.ChunkedArray, field: pa.Field, truncates_times: bool) -> pa.ChunkedArray:
    options = pc.CastOptions(field.type, allow_time_truncate=truncates_times)
    try:
        if isinstance(column.type, pa.UuidType):
            return pa.chunked_array([[value and str(value) for value in column.to_pylist()]])
        return column.cast(options=options)
    except pa.ArrowException as error:
        raise InvalidValues(
            f"the column {field.name} is {column.type} and cannot become {field.type}: "
            f"{one_line(error)}"
        ) from error
