# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, so a type checker cannot see them)
"""Writes a stream of record batches as a file in one of several formats, batch by batch."""

import os
import secrets
import stat
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.errors import InvalidRequest
from flight_service.formats import FORMATS
from flight_service.graphql.arrow.result_types import ResultField, ScalarType, result_fields
from flight_service.graphql.arrow.to_json import column_text, rows_text
from flight_service.graphql.errors import BadDocument
from flight_service.graphql.planning.result import FORM
from fraiseql_assets.cli.console import LINE_BREAK, printable

Batches = Iterator[pa.RecordBatch]


class NotWritten(Exception):
    """The result could not be written; the message says why and what to do."""


def write(name: str, path: Path | None, schema: pa.Schema, batches: Batches) -> None:
    """Writes a result in the named format, to a file or to standard output.

    The file appears under its name only when it is complete. An incomplete file is removed.

    Raises:
        NotWritten: the file cannot be written, or the format cannot hold the result.
        BrokenPipeError: the reader of standard output has closed it.
    """
    try:
        with _opened(path) as behind:
            for piece in _pieces(name, schema, batches):
                behind.write(piece)
            behind.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        where = path or "standard output"
        raise NotWritten(f"{where} cannot be written: {error.strerror or error}.") from error
    except BadDocument as error:
        raise NotWritten(f"{error} Choose another format.") from error
    except InvalidRequest as error:
        raise NotWritten(str(error)) from error


@contextmanager
def _opened(path: Path | None) -> Iterator["BinaryIO | _Terminal"]:
    if path is None:
        is_terminal = sys.stdout.isatty()
        yield _Terminal(sys.stdout.buffer) if is_terminal else sys.stdout.buffer
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


class _Terminal:
    """Standard output as a terminal shows it: text, without the characters that control it."""

    def __init__(self, behind: BinaryIO) -> None:
        self._behind = behind
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def write(self, piece: bytes) -> None:
        text = printable(self._decoder.decode(piece), keep=f"{LINE_BREAK}\t")
        self._behind.write(text.encode())

    def flush(self) -> None:
        self._behind.flush()


def _pieces(name: str, schema: pa.Schema, batches: Batches) -> Iterator[bytes]:
    if name == FORMATS["json"].name:
        return _json(schema, batches)
    return FORMATS[name].pieces(schema, batches, None)


def _json(schema: pa.Schema, batches: Batches) -> Iterator[bytes]:
    """The JSON that an HTTP response holds in `data` under the root's key; for several roots,
    `data` itself."""
    fields = result_fields(schema)
    form = (schema.metadata or {}).get(FORM)
    is_list = form == b"list"
    written = 0
    if is_list:
        yield b"["
    for batch in batches:
        if batch.num_rows:
            if form == b"count":
                yield str(batch.column(0)[0]).encode()
            else:
                yield (b"," if written else b"") + rows_text(batch, fields).to_pybytes()
            written += batch.num_rows
    if is_list:
        yield b"]"
    elif not written:
        yield b"null"
    yield b"\n"


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
