"""Divides the events of a range into blocks. Range and batching determine the blocks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from fraiseql_assets.planes import Batching, Block
from fraiseql_assets.ranges import SequenceRange


@dataclass(slots=True)
class BlockBuilder:
    """Collects whole record batches until they reach the row or byte limit of the batching.

    A batch larger than a block is split by rows first. A block therefore holds fewer than twice
    `block_rows`, and memory use stays within the limits of the batching.
    """

    stream: str
    range: SequenceRange
    day: date
    batching: Batching
    _number: int = 0
    _pending: list[pa.RecordBatch] = field(default_factory=list)
    _rows: int = 0
    _bytes: int = 0

    def add(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Block]:
        """Adds batches; yields the full blocks."""
        for batch in batches:
            for start in range(0, batch.num_rows, self.batching.block_rows):
                part = batch.slice(start, self.batching.block_rows)
                self._pending.append(part)
                self._rows += part.num_rows
                self._bytes += part.nbytes
                if (
                    self._rows >= self.batching.block_rows
                    or self._bytes >= self.batching.block_bytes
                ):
                    yield self._take()

    def rest(self) -> Iterator[Block]:
        """Yields the remaining rows as the last block."""
        if self._pending:
            yield self._take()

    def _take(self) -> Block:
        table = pa.Table.from_batches(self._pending)
        token = f"{self.stream}:{self.range}:{self.batching}:{self._number}"
        block = Block(table, self.stream, self.range, self.day, self._number, token)
        self._number += 1
        self._pending, self._rows, self._bytes = [], 0, 0
        return block


def build_blocks(
    batches: Iterable[pa.RecordBatch],
    stream: str,
    sequences: SequenceRange,
    day: date,
    batching: Batching,
) -> Iterator[Block]:
    """Yields the blocks of a range's events."""
    builder = BlockBuilder(stream, sequences, day, batching)
    yield from builder.add(batches)
    yield from builder.rest()
