"""Writes the responses of several requests to one stream.

A stream has one schema, that of the first result with rows. Batches of results with this schema are
record batches of the stream, with the envelope as metadata. Rows of other schemas are sent within
the envelope, each piece as a separate Arrow stream.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
from pyarrow import flight

from flight_service.exchange import envelope
from flight_service.messages import mark_of, sized_messages
from flight_service.monitoring.calls import Call

WITHIN_BYTES = 60 * 1024
"""The maximum size of an Arrow stream in an envelope, unless a single row is larger. Written as
numbers it fits into 256 KiB, the limit of FraiseQL's own clients."""


@dataclass(frozen=True, slots=True)
class Writer:
    """The writer of the stream to the client."""

    stream: flight.MetadataRecordBatchWriter
    options: pa.ipc.IpcWriteOptions
    call: Call


class ClientGone(Exception):
    """The client has disconnected."""


class Replies:
    """Responses to the requests of one stream. Thread-safe.

    Every method raises:
        ClientGone: the client has disconnected.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._schema: pa.Schema | None = None

    def begin_rows(self, correlation_id: str, schema: pa.Schema) -> "Rows":
        """Begins the rows of a result. The first result of a stream determines its schema."""
        with self._writing():
            first = self._schema
            if first is None:
                first = self._schema = schema
                self._writer.stream.begin(schema, self._writer.options)
        return Rows(self, correlation_id, schema, first.equals(schema))

    def text(self, correlation_id: str, text: str, about: dict[str, Any] | None = None) -> None:
        """Responds with a text."""
        self._write(envelope.ok(correlation_id, text.encode(), about=about))

    def failed(self, correlation_id: str, message: str) -> None:
        """Responds with an error."""
        self._write(envelope.failed(correlation_id, message))

    def complete(self, correlation_id: str) -> None:
        """Responds that a request has no more rows."""
        self._write(envelope.complete(correlation_id))

    def _write(self, message: bytes) -> None:
        with self._writing():
            self._writer.stream.write_metadata(pa.py_buffer(message))

    def _write_batch(self, batch: pa.RecordBatch, message: bytes) -> None:
        with self._writing():
            self._writer.stream.write_with_metadata(batch, pa.py_buffer(message))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (pa.ArrowException, OSError) as error:
                raise ClientGone from error

    def _count(self, rows: int, size: int) -> None:
        with self._lock:
            self._writer.call.count_rows(rows)
            self._writer.call.bytes += size
            self._writer.call.batches += 1


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one result."""

    _replies: Replies
    _correlation_id: str
    _schema: pa.Schema
    is_beside: bool
    """Whether they are record batches of the stream, with the envelope as metadata."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Sends a batch."""
        mark = mark_of(batch)
        about = msgspec.json.decode(mark) if mark else None
        for part, size in sized_messages(batch):
            # Only the last part has the position of the batch.
            own = about if mark_of(part) else None
            plain = part.replace_schema_metadata(self._schema.metadata)
            if self.is_beside:
                self._write_beside(plain, size, own)
            else:
                self._write_within(plain, own)

    def write_none(self) -> None:
        """Sends the schema of a result without rows."""
        self.write(pa.RecordBatch.from_pylist([], self._schema))

    def _write_beside(self, batch: pa.RecordBatch, size: int, about: dict[str, Any] | None) -> None:
        self._replies._write_batch(batch, envelope.ok(self._correlation_id, about=about))
        self._replies._count(batch.num_rows, size)

    def _write_within(self, batch: pa.RecordBatch, about: dict[str, Any] | None) -> None:
        *before, last = _pieces(batch)
        for rows, stream in before:
            self._write_piece(rows, stream, None)
        self._write_piece(*last, about)

    def _write_piece(self, rows: int, stream: bytes, about: dict[str, Any] | None) -> None:
        message = envelope.ok(
            self._correlation_id, stream, content_type=envelope.ARROW, about=about
        )
        self._replies._write(message)
        self._replies._count(rows, len(stream))


def _pieces(batch: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:
    """The batch as Arrow streams that fit into an envelope, each with its number of rows."""
    stream = _ipc(batch)
    if len(stream) <= WITHIN_BYTES or batch.num_rows < 2:
        yield batch.num_rows, stream
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


def _ipc(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
