"""Combines small batches of an endless stream, by size and by time, and adds the position."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from flight_service.messages import MESSAGE_BYTES, marked

HEARTBEAT_SECONDS = 10.0
"""How often the position is sent while no row matches the filter."""


@dataclass(frozen=True, slots=True)
class Flushing:
    """When rows are sent."""

    rows: int
    """The maximum number of rows in a batch."""
    seconds: float = 0.0
    """How long rows may wait for more rows."""

    @property
    def tick_seconds(self) -> float:
        """How often waiting rows are checked."""
        return min(HEARTBEAT_SECONDS, self.seconds / 2 or HEARTBEAT_SECONDS)


@dataclass(frozen=True, slots=True)
class Position:
    """The row of the log after which a stream continues."""

    sequence: int
    row: int

    @classmethod
    def behind(cls, batch: pa.RecordBatch) -> "Position":
        """The position after the last row of a batch of events."""
        last = batch.num_rows - 1
        return cls(batch["stream_seq"][last].as_py(), batch["stream_row"][last].as_py() + 1)

    @property
    def about(self) -> dict[str, object]:
        """The metadata of a batch: the fields of a ticket that continues after it."""
        return {"next": {"start_sequence": self.sequence, "start_row": self.row}}


def flushed(
    found: Iterable[tuple[list[pa.RecordBatch], Position | None]],
    schema: pa.Schema,
    flushing: Flushing,
) -> Iterator[pa.RecordBatch]:
    """Batches of matching rows, each with the position after it. `found` yields matching rows and
    the position up to which the log was read, or no rows and None if no events arrived for
    `Flushing.tick_seconds`. A batch without rows has only the position.
    """
    held: list[pa.RecordBatch] = []
    rows = size = 0
    position: Position | None = None
    told, since = None, time.monotonic()
    for batches, looked in found:
        now = time.monotonic()
        if batches and not held:
            since = now
        held += batches
        rows += sum(batch.num_rows for batch in batches)
        size += sum(batch.nbytes for batch in batches)
        position = looked or position
        is_due = now - since >= (flushing.seconds if held else HEARTBEAT_SECONDS)
        if held and (is_due or rows >= flushing.rows or size >= MESSAGE_BYTES):
            yield from _parts(held, position, flushing.rows)
            held, rows, size, told, since = [], 0, 0, position, now
        elif not held and is_due and position is not None and position != told:
            yield marked(pa.RecordBatch.from_pylist([], schema), position.about)
            told, since = position, now


def _parts(
    held: list[pa.RecordBatch], position: Position | None, rows: int
) -> Iterator[pa.RecordBatch]:
    whole = pa.concat_batches(held)
    for first in range(0, whole.num_rows, rows):
        part = whole.slice(first, rows)
        is_last = first + rows >= whole.num_rows
        yield marked(part, (position if is_last and position else Position.behind(part)).about)
