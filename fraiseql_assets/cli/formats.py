# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, so a type checker cannot see them)
"""Writes a stream of record batches as a file in one of several formats, batch by batch."""

import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from flight_service.graphql.arrow.result_types import (
    ListType,
    ObjectType,
    ResultField,
    ScalarType,
    result_fields,
)
from flight_service.graphql.arrow.to_json import column_text, rows_text
from flight_service.graphql.errors import BadDocument
from flight_service.graphql.planning.result import FORM

Batches = Iterator[pa.RecordBatch]
Write = Callable[["Sink", pa.Schema, Batches], None]


class NotWritten(Exception):
    """The result could not be written; the message says why and what to do."""


class Sink:
    """A destination for bytes. Closing it does not close the underlying file."""

    closed = False

    def __init__(self, behind: BinaryIO) -> None:
        self._behind = behind
        self._written = 0

    def write(self, data: bytes | memoryview) -> int:
        self._behind.write(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._behind.flush()

    def close(self) -> None: ...


def write(name: str, path: Path | None, schema: pa.Schema, batches: Batches) -> None:
    """Writes a result in the named format, to a file or to standard output.

    The file appears under its name only when it is complete. An incomplete file is removed.

    Raises:
        NotWritten: the file cannot be written, or the format cannot hold the result.
        BrokenPipeError: the reader of standard output has closed it.
    """
    try:
        with _opened(path) as behind:
            WRITERS[name](Sink(behind), schema, batches)
            behind.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        where = path or "standard output"
        raise NotWritten(f"{where} cannot be written: {error.strerror or error}.") from error
    except BadDocument as error:
        raise NotWritten(f"{error} Choose another format.") from error
    except pa.ArrowException as error:
        raise NotWritten(f"{name} cannot hold this result: {error}. Choose another.") from error


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
        return
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        # Devices and named pipes are written to directly.
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    # Other users who can write to the folder cannot substitute another file.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        with open(descriptor, "wb") as file:
            yield file
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _json(sink: Sink, schema: pa.Schema, batches: Batches) -> None:
    """The JSON that an HTTP response holds in `data` under the root's key; for several roots,
    `data` itself."""
    fields = result_fields(schema)
    form = (schema.metadata or {}).get(FORM)
    is_list = form == b"list"
    written = 0
    if is_list:
        sink.write(b"[")
    for batch in batches:
        if batch.num_rows:
            sink.write(b"," if written else b"")
            if form == b"count":
                sink.write(str(batch.column(0)[0]).encode())
            else:
                sink.write(memoryview(rows_text(batch, fields)))
            written += batch.num_rows
    if is_list:
        sink.write(b"]")
    elif not written:
        sink.write(b"null")
    sink.write(b"\n")


def _csv(sink: Sink, schema: pa.Schema, batches: Batches) -> None:
    """One column per scalar. Scalars of an object are named `object.scalar`; lists become JSON."""
    fields = result_fields(schema)
    flat = _flat(pa.RecordBatch.from_pylist([], schema=schema), fields)
    with pyarrow.csv.CSVWriter(sink, flat.schema) as writer:
        for batch in batches:
            writer.write_batch(_flat(batch, fields))


def _flat(batch: pa.RecordBatch, fields: tuple[ResultField, ...]) -> pa.RecordBatch:
    columns = dict(
        found
        for field, values in zip(fields, batch.columns, strict=True)
        for found in _scalars(field.key, field, values)
    )
    return pa.RecordBatch.from_pydict(columns)


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


def _parquet(sink: Sink, schema: pa.Schema, batches: Batches) -> None:
    with pyarrow.parquet.ParquetWriter(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _arrow(sink: Sink, schema: pa.Schema, batches: Batches) -> None:
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


WRITERS: Mapping[str, Write] = {
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
    "arrow": _arrow,
}


def cells(batch: pa.RecordBatch) -> list[list[str | None]]:
    """The rows as strings for display: strings unchanged, other values as in JSON."""
    fields = result_fields(batch.schema)
    columns = [
        _cells(field, values).to_pylist()
        for field, values in zip(fields, batch.columns, strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _cells(field: ResultField, values: pa.Array) -> pa.Array:
    match field.type:
        case ScalarType(arrow) if pa.types.is_string(arrow) or pa.types.is_floating(arrow):
            return pc.cast(values, pa.string())
    text = column_text(values, field)
    if pa.types.is_decimal(values.type):
        # Keeps the scale of the type, unless it is so large that Arrow writes an exponent.
        whole = pc.cast(values, pa.string())
        text = pc.if_else(pc.match_substring(whole, "E"), text, whole)
    if pa.types.is_temporal(values.type):
        text = pc.utf8_trim(text, '"')
    return pc.if_else(pc.is_valid(values), text, pa.scalar(None, pa.string()))
