"""Building a whole day anew: from the log, and from the other plane where the log has forgotten."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from fraiseql_assets.pipeline.ingest import (
    IngestError,
    Job,
    Report,
    begun_entry,
    committed_entry,
    read_events,
    write_blocks,
)
from fraiseql_assets.planes import LedgerEntry, Plane
from fraiseql_assets.ranges import SequenceRange, merge, subtract
from fraiseql_assets.stream.log import Log


class DayForgotten(IngestError):
    """Neither the log nor the other plane holds all that the plane holds of a day."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a day is to be had: from the other plane up to a sequence, from the log behind it."""

    sequences: SequenceRange
    copied: SequenceRange | None
    """The part that the other plane gives."""
    copied_messages: int
    """Messages that the log held in that part when the other plane read it."""
    in_log: SequenceRange | None
    other: str

    def __str__(self) -> str:
        parts = [self.other if self.copied else "", "log" if self.in_log else ""]
        return "+".join(filter(None, parts))


def rebuild_day(plane: Plane, other: Plane, log: Log, day: date, job: Job) -> Report:
    """Builds a day anew and puts it in the place of the plane's partition.

    Readers see the old partition until the new one is whole. A day of which nothing is known
    anywhere is left alone. The other plane is asked only for what the log no longer holds.

    Raises:
        DayForgotten: the plane holds what can be had nowhere else; it stays as it is.
        PlaneError, LogError: a plane or the log failed; the partition is as it was.
    """
    started = time.monotonic()
    source = find_source(plane, other, log, day)
    if source is None:
        return Report(seconds=time.monotonic() - started)
    sequences = source.sequences
    report = Report(range=sequences, source=str(source), messages=source.copied_messages)
    replacement = plane.replace(day, job.run_id)
    try:
        batches = _events(source, other, log, day, job, report)
        write_blocks(log, plane.name, replacement, batches, sequences, day, job, report)
    except BaseException:
        replacement.abandon()
        raise
    report.missing = len(sequences) - report.messages
    entry = begun_entry(log.stream, sequences, day, job, "partition")
    plane.record(entry)
    replacement.swap(committed_entry(entry, report))
    report.seconds = time.monotonic() - started
    return report


def find_source(plane: Plane, other: Plane, log: Log, day: date) -> Source | None:
    """Where the day can be had from, None when nobody holds anything of it.

    Raises:
        DayForgotten: the plane holds what neither the log nor the other plane does.
    """
    own = _ranges(plane.ledger(log.stream, day))
    in_log = log.day_range(day)
    whole = in_log is not None and _holds_beginning(log, in_log)
    entries = [] if whole else [e for e in other.ledger(log.stream, day) if e.state == "committed"]
    copied = _copied(entries, in_log)
    behind = _behind(in_log, copied)
    parts = [part for part in (copied, behind) if part]
    lost = [gap for sequences in own for gap in subtract(sequences, parts)]
    if lost:
        raise DayForgotten(
            f"the {plane.name} plane holds {', '.join(map(str, lost))} of {day}, which neither the "
            f"log nor the {other.name} plane does. The partition stays as it is."
        )
    if not parts:
        return None
    sequences = SequenceRange(parts[0].first, parts[-1].last)
    messages = sum(e.messages for e in entries if copied and copied.covers(e.range))
    return Source(sequences, copied, messages, behind, other.name)


def _ranges(entries: Iterable[LedgerEntry]) -> list[SequenceRange]:
    """What a ledger holds of a day as committed, without what held nothing."""
    return merge(e.range for e in entries if e.state == "committed" and e.rows)


def _holds_beginning(log: Log, in_log: SequenceRange) -> bool:
    """Whether the log still holds the day's first message: it does when it holds one before it."""
    return in_log.first == 1 or log.bounds().first < in_log.first


def _copied(entries: Iterable[LedgerEntry], in_log: SequenceRange | None) -> SequenceRange | None:
    """What the other plane gives: its ranges that begin before what the log holds."""
    ranges = merge(e.range for e in entries)
    forgotten = [s for s in ranges if in_log is None or s.first < in_log.first]
    return SequenceRange(forgotten[0].first, forgotten[-1].last) if forgotten else None


def _behind(in_log: SequenceRange | None, copied: SequenceRange | None) -> SequenceRange | None:
    """What of the day the log gives, behind what is copied."""
    if in_log is None or copied is None or copied.last < in_log.first:
        return in_log
    first = copied.last + 1
    return SequenceRange(first, in_log.last) if first <= in_log.last else None


def _events(
    source: Source, other: Plane, log: Log, day: date, job: Job, report: Report
) -> Iterator[pa.RecordBatch]:
    if source.copied:
        yield from other.events(day, source.copied.last)
    if source.in_log:
        yield from read_events(log, source.in_log, job, report)
