"""Joins small batches of an endless stream, by size and by time, and marks how far it came."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from flight_service.messages import MESSAGE_BYTES, marked

HEARTBEAT_SECONDS = 10.0
"""How often a client is told how far the stream came while nothing passes its filter."""


@dataclass(frozen=True, slots=True)
class Flushing:
    """When rows are sent."""

    rows: int
    """How many rows are sent at once."""
    seconds: float = 0.0
    """How long rows may wait for others."""

    @property
    def tick_seconds(self) -> float:
        """How often it is to be asked for rows that have waited long enough."""
        return min(HEARTBEAT_SECONDS, self.seconds / 2 or HEARTBEAT_SECONDS)


@dataclass(frozen=True, slots=True)
class Position:
    """The row of the log behind which a stream goes on."""

    sequence: int
    row: int

    @classmethod
    def behind(cls, batch: pa.RecordBatch) -> "Position":
        """The position behind the last row of a batch of events."""
        last = batch.num_rows - 1
        return cls(batch["stream_seq"][last].as_py(), batch["stream_row"][last].as_py() + 1)

    @property
    def about(self) -> dict[str, object]:
        """What is sent beside a batch: the fields of the ticket that goes on behind it."""
        return {"next": {"start_sequence": self.sequence, "start_row": self.row}}


def flushed(
    found: Iterable[tuple[list[pa.RecordBatch], Position | None]],
    schema: pa.Schema,
    flushing: Flushing,
) -> Iterator[pa.RecordBatch]:
    """Batches of rows that were found, each marked with the position behind it.

    `found` yields the rows that were found and the position up to which was looked, or nothing and
    None when there was nothing to look at for `Flushing.tick_seconds`. A batch without rows tells
    the position alone.
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
