"""The pipeline from log to plane: reads messages, decodes them, and writes them in blocks.

Reading, decoding and writing overlap, each in its own thread, with bounded queues between them: a
slow plane slows its own reading, and memory does not grow with the backlog.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from fraiseql_assets.datasets import Dataset
from fraiseql_assets.erasures import without_erased
from fraiseql_assets.events.messages import Messages, Reject
from fraiseql_assets.pipeline.blocks import BlockBuilder
from fraiseql_assets.pipeline.job import Job, Report
from fraiseql_assets.planes import Block, Plane, Replacement, Written
from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.stream.dead_letters import DECODE
from fraiseql_assets.stream.log import Log

PREVIEW_ROWS = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Rows for a plane, and the rejected messages that gave no row."""

    batches: Sequence[pa.RecordBatch] = ()
    rejects: Sequence[Reject] = ()
    sequences: Sequence[int] = field(default=(), repr=False)
    """The sequences of the messages that were read for this part."""


def read_parts(log: Log, dataset: Dataset, sequences: SequenceRange, job: Job) -> Iterator[Part]:
    """Yields the messages of a range, read and decoded ahead of being written."""
    messages = log.read(sequences, job.batching, ahead=job.ahead)
    yield from prefetch(decoded_parts(messages, dataset), ahead=job.ahead)


def decoded_parts(batches: Iterable[Messages], dataset: Dataset) -> Iterator[Part]:
    """Yields the sequences of each batch of messages, then the rows and rejects of that batch."""
    for batch in batches:
        yield Part(sequences=batch.sequences)
        for found in dataset.decode_parts(batch):
            yield Part(found.batches, found.rejects)


def write_parts(
    parts: Iterable[Part],
    log: Log,
    plane: Plane,
    target: Plane | Replacement,
    sequences: SequenceRange,
    day: date,
    job: Job,
) -> Report:
    """Writes the rows in blocks, and stores rejected messages and rows as dead-letter messages.

    `target` is the plane itself or a replacement of the day. Erased events are left out.
    Returns the counts.
    """
    taken: deque[Block] = deque()
    report = Report(range=sequences)

    def blocks() -> Iterator[Block]:
        nonlocal report
        erasures = plane.erasures(log.stream)
        builder = BlockBuilder(log.stream, sequences, day, job.batching)
        for part in parts:
            rejected = _store_dead_letters(log, DECODE, part.rejects)
            report = report.plus(Report(messages=len(part.sequences), dead_letters=rejected))
            yield from builder.add(without_erased(batch, erasures) for batch in part.batches)
        yield from builder.rest()

    def checked() -> Iterator[Block]:
        for block in blocks():
            job.checkpoint()
            taken.append(block)
            yield block

    with closing(target.write_all(checked())) as results:
        for written in results:
            rejected = _store_dead_letters(log, plane.name, written.refused)
            report = report.plus(_block_report(taken.popleft(), written, rejected))
    return report


def _block_report(block: Block, written: Written, dead_letters: int) -> Report:
    return Report(
        rows=written.rows,
        duplicates=written.duplicates,
        dead_letters=dead_letters,
        blocks=1,
        newest=block.table["stream_time"][-1].as_py(),
        preview=block.table.slice(max(0, block.table.num_rows - PREVIEW_ROWS)),
    )


def _store_dead_letters(log: Log, stage: str, rejects: Sequence[Reject]) -> int:
    if rejects:
        log.store_dead_letters(stage, rejects)
    return len(rejects)
