"""Divides record batches into messages that every client accepts, and attaches their metadata.

A mark is the `app_metadata` of a batch. Until the batch is sent, it is stored in the batch's schema
metadata, which is not part of the flight's schema.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from fraiseql_assets.iterators import close_iterator

MESSAGE_BYTES = 3 * 2**20
"""The largest record batch that is sent, unless it is a single row. gRPC clients in Rust, Go and
JavaScript refuse messages above 4 MiB by default. ClickHouse skips more than 4 MiB of a column by
asking for a later part of the answer, which there is not; it reads smaller columns to their end."""

_MARK = b"fraiseql.about"


def marked(batch: pa.RecordBatch, about: Mapping[str, Any]) -> pa.RecordBatch:
    """The batch with JSON values as its metadata."""
    return batch.replace_schema_metadata({_MARK: msgspec.json.encode(about)})


def mark_of(batch: pa.RecordBatch) -> bytes | None:
    """The metadata of a batch; None if it has none."""
    metadata = batch.schema.metadata
    return metadata.get(_MARK) if metadata else None


def with_marks(
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch | tuple[pa.RecordBatch, pa.Buffer]]:
    """The batches as pyarrow sends them: a batch, or a pair with its `app_metadata`."""
    try:
        for batch in batches:
            mark = mark_of(batch)
            yield batch if mark is None else (batch.replace_schema_metadata(), pa.py_buffer(mark))
    finally:
        close_iterator(batches)


def messages(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices, each of at most `MESSAGE_BYTES` once encoded, or a single row. The last
    has the batch's mark."""
    return (message for message, _ in sized_messages(batch))


def sized_messages(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The messages of a batch with their encoded sizes in bytes. To find a size takes about a third
    of the time that a batch spends in Python, so that it is found once."""
    if mark_of(batch) is None:
        yield from _slices(batch)
        return
    *before, last = _slices(batch)
    yield from ((one.replace_schema_metadata(), size) for one, size in before)
    yield last


def _slices(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int]]:
    size = pa.ipc.get_record_batch_size(batch)
    if size <= MESSAGE_BYTES or batch.num_rows < 2:
        yield batch, size
        return
    rows = math.ceil(batch.num_rows / math.ceil(size / MESSAGE_BYTES))
    # Rows differ in size, so a slice may still be too large.
    if rows == batch.num_rows:
        rows = math.ceil(rows / 2)
    for first in range(0, batch.num_rows, rows):
        yield from _slices(batch.slice(first, rows))
