"""Cutting a range's events into blocks: the same range with the same cut gives the same blocks."""

from collections.abc import Iterable, Iterator
from datetime import date

import pyarrow as pa

from fraiseql_assets.planes import Batching, Block
from fraiseql_assets.ranges import SequenceRange


def build_blocks(
    batches: Iterable[pa.RecordBatch],
    stream: str,
    sequences: SequenceRange,
    day: date,
    batching: Batching,
) -> Iterator[Block]:
    """Collects record batches, whole, until they reach the cut's rows or bytes.

    A batch larger than a block is split by rows first, so a block holds fewer than twice
    `block_rows` and memory stays within what the cut says.
    """
    number = 0
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in _split(batches, batching.block_rows):
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= batching.block_rows or size >= batching.block_bytes:
            yield _block(waiting, stream, sequences, day, batching, number)
            number += 1
            waiting, rows, size = [], 0, 0
    if waiting:
        yield _block(waiting, stream, sequences, day, batching, number)


def _split(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, most):
            yield batch.slice(start, most)


def _block(
    batches: list[pa.RecordBatch],
    stream: str,
    sequences: SequenceRange,
    day: date,
    batching: Batching,
    number: int,
) -> Block:
    token = f"{stream}:{sequences}:{batching}:{number}"
    return Block(pa.Table.from_batches(batches), sequences, day, number, token)
