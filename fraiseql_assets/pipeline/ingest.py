"""Moving a range of the log into a plane.

Reading, decoding and writing overlap, each in its own thread, with bounded queues between them: a
slow plane slows its own reading, and memory does not grow with the backlog.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Literal

import pyarrow as pa

from fraiseql_assets.events.decode import decode_parts
from fraiseql_assets.events.messages import Decoded, Messages, Reject
from fraiseql_assets.pipeline.blocks import build_blocks
from fraiseql_assets.planes import (
    Batching,
    LedgerEntry,
    Plane,
    PlaneError,
    Replacement,
    committed_ranges,
)
from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.ranges import SequenceRange, subtract
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.dead_letters import DECODE
from fraiseql_assets.stream.log import Log

PREVIEW_ROWS = 5


class IngestError(Exception):
    """A range or day cannot be materialised as asked; retrying as it is would not help."""


@dataclass(frozen=True, slots=True)
class Job:
    """Who materialises, and how: what a run knows of itself."""

    run_id: str
    attempt: int
    batching: Batching
    ahead: int
    """Batches that may wait between two stages."""


@dataclass(slots=True)
class Report:
    """What a materialisation did."""

    range: SequenceRange | None = None
    messages: int = 0
    rows: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    blocks: int = 0
    seconds: float = 0.0
    source: str = "log"
    already_committed: bool = False
    missing: int = 0
    """Sequences that the log no longer held."""
    newest: datetime | None = None
    preview: pa.Table | None = field(default=None, repr=False)

    def add(self, part: "Report") -> None:
        """Counts a part in."""
        self.messages += part.messages
        self.rows += part.rows
        self.duplicates += part.duplicates
        self.dead_letters += part.dead_letters
        self.blocks += part.blocks
        self.missing += part.missing
        self.newest, self.preview = part.newest or self.newest, part.preview or self.preview


def default_batching(settings: Settings) -> Batching:
    """The cut that the settings ask for."""
    return Batching(
        settings.batch_rows, settings.batch_bytes, settings.block_rows, settings.block_bytes
    )


def ingest_range(plane: Plane, log: Log, sequences: SequenceRange, day: date, job: Job) -> Report:
    """Adds a range of the log to the plane, exactly once however often it is called.

    What of it is committed already is left as it is; a range that an earlier attempt began is
    written with that attempt's batching, so that its blocks carry the same tokens.

    Raises:
        IngestError: an earlier attempt began a range of other bounds that overlaps this one.
        PlaneError, LogError: the plane or the log failed; the same call may be made again.
    """
    started = time.monotonic()
    entries = plane.ledger(log.stream)
    left = subtract(sequences, committed_ranges(entries))
    report = Report(range=sequences, already_committed=not left)
    for part in left:
        begun = _begun_over(entries, part)
        _ingest_part(plane, log, part, day, _as_begun(job, begun), report)
    report.seconds = time.monotonic() - started
    return report


def _begun_over(entries: Iterable[LedgerEntry], part: SequenceRange) -> LedgerEntry | None:
    """The entry of an earlier attempt at a range. Another cut would write its rows twice."""
    for entry in entries:
        if entry.state == "begun" and entry.range.overlaps(part):
            if entry.range != part or entry.kind == "partition":
                raise IngestError(
                    f"range {part} overlaps {entry.range}, which run {entry.run_id} began and did "
                    "not commit. The sensor asks for that by itself first; ask for this afterwards."
                )
            return entry
    return None


def _as_begun(job: Job, begun: LedgerEntry | None) -> Job:
    if begun is None:
        return job
    return replace(job, batching=begun.batching, attempt=max(job.attempt, begun.attempt + 1))


def _ingest_part(
    plane: Plane, log: Log, sequences: SequenceRange, day: date, job: Job, total: Report
) -> None:
    """One range of which nothing is committed, from *begun* to *committed*."""
    entry = begun_entry(log.stream, sequences, day, job)
    plane.record(entry)
    part = Report(range=sequences)
    write_blocks(
        log, plane.name, plane, read_events(log, sequences, job, part), sequences, day, job, part
    )
    part.missing = len(sequences) - part.messages
    _refuse_replaced(plane, entry)
    plane.record(committed_entry(entry, part))
    total.add(part)


def _refuse_replaced(plane: Plane, entry: LedgerEntry) -> None:
    """Rows may have gone with a partition that was replaced after the range was begun: whoever was
    still writing asks anew what is left to do."""
    entries = plane.ledger(entry.stream, entry.day)
    begun = any(found.range == entry.range and found.state == "begun" for found in entries)
    replaced = any(
        found.kind == "partition" and found.state == "committed" and found.at >= entry.at
        for found in entries
    )
    if replaced or not begun:
        raise PlaneError(
            f"the {plane.name} plane's {entry.day} was replaced, or lost, while {entry.range} was "
            "being written. Ask for the range again."
        )


def begun_entry(
    stream: str,
    sequences: SequenceRange,
    day: date,
    job: Job,
    kind: Literal["range", "partition"] = "range",
) -> LedgerEntry:
    """The ledger's entry before anything of a range, or partition, is to be seen."""
    return LedgerEntry(
        stream=stream,
        range=sequences,
        day=day,
        state="begun",
        kind=kind,
        batching=job.batching,
        attempt=job.attempt,
        run_id=job.run_id,
        at=datetime.now(UTC),
    )


def committed_entry(entry: LedgerEntry, report: Report) -> LedgerEntry:
    """The entry once all of the range is written."""
    return replace(
        entry,
        state="committed",
        at=datetime.now(UTC),
        messages=report.messages,
        rows=report.rows,
        duplicates=report.duplicates,
        dead_letters=report.dead_letters,
        source=report.source,
    )


def read_events(
    log: Log, sequences: SequenceRange, job: Job, report: Report
) -> Iterator[pa.RecordBatch]:
    """The events of a range, read and decoded ahead of their writing, what is none of them filed
    as a dead letter; both counted into the report."""
    messages = log.read(sequences, job.batching, ahead=job.ahead)
    for item in prefetch(_decode_all(messages, report), ahead=job.ahead):
        _file(log, DECODE, item.rejects, report)
        yield from item.batches


def write_blocks(
    log: Log,
    plane: str,
    target: Plane | Replacement,
    batches: Iterable[pa.RecordBatch],
    sequences: SequenceRange,
    day: date,
    job: Job,
    report: Report,
) -> None:
    """Writes events in blocks, files what the plane refuses, and counts into the report."""
    for block in build_blocks(batches, log.stream, sequences, day, job.batching):
        written = target.write(block)
        _file(log, plane, written.refused, report)
        report.rows += written.rows
        report.duplicates += written.duplicates
        report.blocks += 1
        report.preview = block.table.slice(max(0, block.table.num_rows - PREVIEW_ROWS))
        report.newest = block.table["stream_time"][-1].as_py()


def _decode_all(batches: Iterable[Messages], report: Report) -> Iterator[Decoded]:
    for batch in batches:
        report.messages += len(batch)
        yield from decode_parts(batch)


def _file(log: Log, stage: str, rejects: list[Reject], report: Report) -> None:
    if rejects:
        log.store_dead_letters(stage, rejects)
        report.dead_letters += len(rejects)
