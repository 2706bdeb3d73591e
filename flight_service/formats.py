# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, so a type checker cannot see them)
"""Results as files: Parquet, CSV, JSON, JSON lines or an Arrow stream, encoded while they are read.

Whole columns are written, and no value becomes a Python object. Parquet needs memory for one row
group, other formats for one batch.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from flight_service.errors import InvalidRequest
from flight_service.graphql.arrow.result_types import (
    ListType,
    ObjectType,
    ResultField,
    result_fields,
)
from flight_service.graphql.arrow.to_json import column_text, rows_text
from flight_service.messages import messages
from fraiseql_assets.iterators import close_iterator

ROW_GROUP_ROWS = 2**17
ROW_GROUP_BYTES = 32 * 2**20
"""The rows, or bytes of Arrow data, at which a row group of Parquet ends."""

Batches = Iterator[pa.RecordBatch]
Pieces = Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files."""

    name: str
    media_type: str
    pieces: Callable[[pa.Schema, Batches, pa.ipc.IpcWriteOptions | None], Pieces]
    """Yields the bytes of a file with these batches. Closing the iterator closes the batches.

    Raises:
        InvalidRequest: the format cannot hold the result.
    """


class Sink:
    """A file object that collects the output of an Arrow writer."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        """The bytes that were written since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _arrow(schema: pa.Schema, batches: Batches, options: pa.ipc.IpcWriteOptions | None) -> Pieces:
    sink = Sink()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        yield sink.take()
        for batch in batches:
            for message in messages(batch):
                writer.write_batch(message)
                yield sink.take()
    yield sink.take()


def _parquet(schema: pa.Schema, batches: Batches, _: object) -> Pieces:
    sink = Sink()
    with pyarrow.parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in _row_groups(batches):
            writer.write_table(pa.Table.from_batches(group, schema), ROW_GROUP_ROWS)
            yield sink.take()
    yield sink.take()


def _row_groups(batches: Batches) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if rows:
        yield group


def _csv(schema: pa.Schema, batches: Batches, _: object) -> Pieces:
    """One column per scalar. Scalars of an object are named `object.scalar`; lists become JSON."""
    sink = Sink()
    fields = result_fields(schema)
    empty = flat(pa.RecordBatch.from_pylist([], schema=schema), fields)
    with pyarrow.csv.CSVWriter(sink, empty.schema) as writer:
        yield sink.take()
        for batch in batches:
            writer.write_batch(flat(batch, fields))
            yield sink.take()
    yield sink.take()


def flat(batch: pa.RecordBatch, fields: tuple[ResultField, ...]) -> pa.RecordBatch:
    """The batch with a column per scalar."""
    columns = [
        found
        for field, values in zip(fields, batch.columns, strict=True)
        for found in _scalars(field.key, field, values)
    ]
    return pa.RecordBatch.from_arrays(
        [values for _, values in columns], names=[name for name, _ in columns]
    )


def _scalars(name: str, field: ResultField, values: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    match field.type:
        case ObjectType(fields):
            for inner, column in zip(fields, values.flatten(), strict=True):
                yield from _scalars(f"{name}.{inner.key}", inner, column)
        case ListType():
            text = column_text(values, field)
            yield name, pc.if_else(pc.is_valid(values), text, pa.scalar(None, pa.string()))
        case _:
            yield name, values


def _json(schema: pa.Schema, batches: Batches, _: object) -> Pieces:
    """A JSON array of objects."""
    fields = result_fields(schema)
    yield b"["
    separator = b""
    for batch in batches:
        if batch.num_rows:
            yield separator + rows_text(batch, fields).to_pybytes()
            separator = b","
    yield b"]"


def _json_lines(schema: pa.Schema, batches: Batches, _: object) -> Pieces:
    """One JSON object per line."""
    fields = result_fields(schema)
    for batch in batches:
        if batch.num_rows:
            yield rows_text(batch, fields, separator="\n").to_pybytes() + b"\n"


def _guarded(name: str, pieces: Callable[..., Pieces]) -> Callable[..., Pieces]:
    """Distinguishes errors of the format from errors of the batches."""

    def made(schema: pa.Schema, batches: Batches, options: object) -> Pieces:
        source = _BatchSource(batches)
        try:
            yield from pieces(schema, source.batches(), options)
        except pa.ArrowException as error:
            if error is source.failure:
                raise
            raise InvalidRequest(
                f"{name} cannot hold this result: {error}. Choose another format."
            ) from error
        finally:
            close_iterator(batches)

    return made


class _BatchSource:
    """Batches, and the error that ended them."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.failure: Exception | None = None

    def batches(self) -> Batches:
        try:
            yield from self._batches
        except Exception as error:
            self.failure = error
            raise


PARQUET = Format("parquet", "application/vnd.apache.parquet", _guarded("Parquet", _parquet))
CSV = Format("csv", "text/csv", _guarded("CSV", _csv))
JSON = Format("json", "application/json", _guarded("JSON", _json))
NDJSON = Format("ndjson", "application/x-ndjson", _guarded("JSON", _json_lines))
ARROW = Format("arrow", "application/vnd.apache.arrow.stream", _guarded("Arrow", _arrow))

FORMATS: Mapping[str, Format] = {one.name: one for one in (JSON, ARROW, CSV, NDJSON, PARQUET)}
