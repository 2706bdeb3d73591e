"""Moving events from the log into a plane: one range, or one whole day.

Reading, decoding and writing overlap, each in its own thread, with bounded queues between them: a
slow plane slows its own reading, and memory does not grow with the backlog.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import pyarrow as pa

from fraiseql_assets.blocks import cut_blocks
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.messages import Decoded, Messages, Reject
from fraiseql_assets.planes import (
    Cut,
    LedgerEntry,
    Plane,
    Replacement,
    committed_ranges,
)
from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.ranges import SequenceRange, subtract
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log

PREVIEW_ROWS = 5


class IngestError(Exception):
    """A range or day cannot be materialised as asked; retrying as it is would not help."""


class DayForgotten(IngestError):
    """The log no longer holds all that the plane holds of a day."""


@dataclass(frozen=True, slots=True)
class Job:
    """Who materialises, and how: what a run knows of itself."""

    run_id: str
    attempt: int
    cut: Cut
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
    newest: datetime | None = None
    preview: pa.Table | None = field(default=None, repr=False)

    @property
    def missing(self) -> int:
        """Sequences of the range that the log no longer held."""
        return len(self.range) - self.messages if self.range and not self.already_committed else 0


def default_cut(settings: Settings) -> Cut:
    """The cut that the settings ask for."""
    return Cut(settings.batch_rows, settings.batch_bytes, settings.block_rows, settings.block_bytes)


def ingest_range(plane: Plane, log: Log, span: SequenceRange, day: date, job: Job) -> Report:
    """Adds a range of the log to the plane, exactly once however often it is called.

    A range that is committed already is left as it is; one that an earlier attempt began is written
    with that attempt's cut, so that its blocks carry the same tokens.

    Raises:
        IngestError: a part of the range, not all of it, is committed already.
        PlaneError, LogError: the plane or the log failed; the same call may be made again.
    """
    started = time.monotonic()
    entries = plane.ledger(log.stream)
    left = subtract(span, committed_ranges(entries))
    if not left:
        return Report(range=span, already_committed=True)
    if left != [span]:
        raise IngestError(
            f"range {span} of {log.stream} is committed in part in the {plane.name} plane; "
            f"what is missing is {', '.join(map(str, left))}. The sensor asks for that by itself."
        )
    begun = next((entry for entry in entries if entry.range == span), None)
    if begun:
        job = replace(job, cut=begun.cut, attempt=max(job.attempt, begun.attempt + 1))
    entry = LedgerEntry(
        stream=log.stream,
        range=span,
        day=day,
        state="begun",
        cut=job.cut,
        attempt=job.attempt,
        run_id=job.run_id,
        at=datetime.now(UTC),
    )
    plane.record(entry)
    report = Report(range=span)
    _write_all(plane, plane, log, span, day, job, report)
    plane.record(_committed(entry, report))
    report.seconds = time.monotonic() - started
    return report


def rebuild_day(plane: Plane, log: Log, day: date, job: Job) -> Report:
    """Builds a day anew from the log and puts it in the place of the plane's partition.

    Readers see the old partition until the new one is whole. A day of which neither log nor plane
    holds anything is left alone.

    Raises:
        DayForgotten: the log no longer holds all that the plane has of the day.
        PlaneError, LogError: the plane or the log failed; the partition is as it was.
    """
    started = time.monotonic()
    held = [e for e in plane.ledger(log.stream, day) if e.state == "committed" and e.rows]
    span = log.day_range(day)
    if span is None and not held:
        return Report(seconds=time.monotonic() - started)
    in_log = [span] if span else []
    lost = [gap for entry in held for gap in subtract(entry.range, in_log)]
    if lost or span is None:
        raise DayForgotten(
            f"the log no longer holds {', '.join(map(str, lost))} of {day}, which the "
            f"{plane.name} plane does. The partition stays as it is."
        )
    report = Report(range=span)
    replacement = plane.replace(day, job.run_id)
    try:
        _write_all(plane, replacement, log, span, day, job, report)
    except BaseException:
        replacement.abandon()
        raise
    entry = LedgerEntry(
        stream=log.stream,
        range=span,
        day=day,
        state="begun",
        kind="partition",
        cut=job.cut,
        attempt=job.attempt,
        run_id=job.run_id,
        at=datetime.now(UTC),
    )
    plane.record(entry)
    replacement.swap(_committed(entry, report))
    report.seconds = time.monotonic() - started
    return report


def _write_all(
    plane: Plane,
    target: Plane | Replacement,
    log: Log,
    span: SequenceRange,
    day: date,
    job: Job,
    report: Report,
) -> None:
    """Reads, decodes and writes a range, and counts into the report."""
    messages = log.read(span, job.cut, ahead=job.ahead)
    decoded = prefetch(_decode_all(messages, report), ahead=job.ahead)
    for block in cut_blocks(_letters_filed(decoded, log, report), log.stream, span, day, job.cut):
        written = target.write(block)
        _file(log, plane.name, written.refused, report)
        report.rows += written.rows
        report.duplicates += written.duplicates
        report.blocks += 1
        report.preview = block.table.slice(max(0, block.table.num_rows - PREVIEW_ROWS))
        report.newest = block.table["stream_time"][-1].as_py()


def _decode_all(batches: Iterable[Messages], report: Report) -> Iterator[Decoded]:
    for batch in batches:
        report.messages += len(batch)
        yield decode(batch)


def _letters_filed(
    decoded: Iterable[Decoded], log: Log, report: Report
) -> Iterator[pa.RecordBatch]:
    """The events, once what is no event lies safe in the dead-letter stream."""
    for item in decoded:
        _file(log, "decode", item.rejects, report)
        yield from item.batches


def _file(log: Log, stage: str, rejects: list[Reject], report: Report) -> None:
    if rejects:
        log.file_letters(stage, rejects)
        report.dead_letters += len(rejects)


def _committed(entry: LedgerEntry, report: Report) -> LedgerEntry:
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
