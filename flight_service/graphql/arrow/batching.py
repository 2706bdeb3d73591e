"""Regroups rows into batches of another size."""

from collections.abc import Generator, Iterator

import pyarrow as pa

from fraiseql_assets.iterators import close_iterator


def batches_of(
    batches: Iterator[pa.RecordBatch], rows: int
) -> Generator[pa.RecordBatch, None, None]:
    """The same rows in batches of `rows`; the last may be smaller."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    try:
        for batch in batches:
            start = 0
            while start < batch.num_rows:
                piece = batch.slice(start, rows - count)
                waiting.append(piece)
                start, count = start + piece.num_rows, count + piece.num_rows
                if count == rows:
                    yield _one(waiting)
                    waiting, count = [], 0
        if waiting:
            yield _one(waiting)
    finally:
        close_iterator(batches)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
