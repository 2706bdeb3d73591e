"""Divides record batches into messages that every client accepts."""

import math
from collections.abc import Iterator

import pyarrow as pa

MESSAGE_BYTES = 3 * 2**20
"""The largest record batch that is sent, unless it is a single row. Clients of gRPC in Rust, Go and
JavaScript refuse messages of more than 4 MiB unless they are told otherwise."""


def messages(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices, each of at most `MESSAGE_BYTES` once encoded, or a single row."""
    size = pa.ipc.get_record_batch_size(batch)
    if size <= MESSAGE_BYTES or batch.num_rows < 2:
        yield batch
        return
    rows = math.ceil(batch.num_rows / math.ceil(size / MESSAGE_BYTES))
    # Rows differ in size, so that a slice may still be too large.
    if rows == batch.num_rows:
        rows = math.ceil(rows / 2)
    for first in range(0, batch.num_rows, rows):
        yield from messages(batch.slice(first, rows))
