"""Rebuilds a whole day: from the log, and from a plane where the log is incomplete."""

import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain

import pyarrow as pa

from fraiseql_assets.datasets import Dataset
from fraiseql_assets.pipeline.ingest import begun_entry, committed_entry
from fraiseql_assets.pipeline.job import IngestError, Job, Report
from fraiseql_assets.pipeline.stages import Part, read_parts, write_parts
from fraiseql_assets.planes import LedgerEntry, Plane, PlaneError, PlaneNotSetUp, Replacement
from fraiseql_assets.ranges import SequenceRange, merge, subtract
from fraiseql_assets.stream.log import Log

LAST_SEQUENCE = 2**62
SHOWN = 10
ABANDON_SECONDS = 5.0


class EventsWouldBeLost(IngestError):
    """The plane holds rows of a day that neither the log nor the other plane has."""


@dataclass(frozen=True, slots=True)
class RowSources:
    """Where the rows of a day are."""

    sequences: SequenceRange
    """From the first to the last sequence of the day that the log or a plane knows."""
    in_log: SequenceRange | None
    is_complete: bool
    """The log holds every message of the day, so no other source is needed."""
    read_before: tuple[SequenceRange, ...]
    """Ranges of which a run of either plane has read every message before."""
    other_holds: bool
    """The other plane holds committed rows of the day."""


def rebuild_day(plane: Plane, other: Plane, log: Log, day: date, job: Job) -> Report:
    """Rebuilds a day and replaces the plane's partition with it.

    Readers see the old partition until the new one is complete. The new partition also contains
    every row that the plane holds: from the log, or from `other` where the log has lost it. `other`
    is the plane itself for a dataset that has one plane. A day without any known row is not
    changed.

    Raises:
        EventsWouldBeLost: no other source has some of the rows; the partition is unchanged.
        PlaneError, LogError: a plane or the log failed; the partition is unchanged.
    """
    started = time.monotonic()
    sources = find_sources(plane, other, log, day)
    if sources is None:
        return Report(seconds=time.monotonic() - started)
    sequences, reading = sources.sequences, Reading(log, plane.dataset, other, sources, day, job)
    replacement = plane.replace(day)
    try:
        report = write_parts(reading.parts(), log, plane, replacement, sequences, day, job)
        _require_nothing_lost(replacement, report, plane, other, day)
    except BaseException:
        _abandon(replacement)
        raise
    known = merge(chain(sources.read_before, reading.seen, reading.filled))
    missing = sum(map(len, subtract(sequences, known)))
    report = replace(
        report, messages=len(sequences) - missing, missing=missing, source=reading.source
    )
    entry = begun_entry(log.stream, sequences, day, job, "partition")
    job.checkpoint()
    plane.record(entry)
    replacement.swap(committed_entry(entry, report))
    return replace(report, seconds=time.monotonic() - started)


def _abandon(replacement: Replacement) -> None:
    """Drops the new partition if the plane answers soon. Otherwise the next rebuild drops it.

    The original error is the one to report, and a terminated run must end within seconds.
    """

    def abandon() -> None:
        with suppress(Exception):
            replacement.abandon()

    dropping = threading.Thread(target=abandon, name="abandon", daemon=True)
    dropping.start()
    dropping.join(ABANDON_SECONDS)


def find_sources(plane: Plane, other: Plane, log: Log, day: date) -> RowSources | None:
    """Where the rows of a day are, or None if neither log nor planes know any.

    The other plane is queried only if the log is incomplete.
    """
    own = _committed(plane, log, day)
    in_log = log.day_range(day)
    known = merge([*(e.range for e in own), *([in_log] if in_log else [])])
    if in_log and known == [in_log] and _is_complete(log, in_log):
        return RowSources(in_log, in_log, True, (), False)
    others: list[LedgerEntry] = []
    with suppress(PlaneNotSetUp):
        others = _committed(other, log, day)
    known = merge([*known, *(e.range for e in others)])
    if not known:
        return None
    return RowSources(
        SequenceRange(known[0].first, known[-1].last),
        in_log,
        False,
        tuple(e.range for e in (*own, *others) if e.messages == len(e.range)),
        any(e.rows for e in others),
    )


def _committed(plane: Plane, log: Log, day: date) -> list[LedgerEntry]:
    return [e for e in plane.ledger(log.stream, day) if e.state == "committed"]


def _is_complete(log: Log, in_log: SequenceRange) -> bool:
    """Whether the log holds a whole day: its first message and all later ones."""
    begins = in_log.first == 1 or log.bounds().first < in_log.first
    return begins and log.count_messages(in_log) == len(in_log)


class Reading:
    """Reads the rows of a day: those that the log lost before its first message of the day, those
    in the log, and those that it lost after that message."""

    def __init__(
        self, log: Log, dataset: Dataset, other: Plane, sources: RowSources, day: date, job: Job
    ) -> None:
        self._log, self._dataset, self._other, self._sources = log, dataset, other, sources
        self._day, self._job = day, job
        self.seen: list[SequenceRange] = []
        """The sequences that the log delivered."""
        self.filled: list[SequenceRange] = []
        """The sequences whose rows came from the other plane."""

    @property
    def source(self) -> str:
        """Where the rows came from."""
        parts = [self._other.name if self.filled else "", "log" if self.seen else ""]
        return "+".join(filter(None, parts)) or "log"

    def parts(self) -> Iterator[Part]:
        """Yields the rows from the log, and from the other plane where the log has none."""
        in_log, sequences = self._sources.in_log, self._sources.sequences
        first = in_log.first if in_log else sequences.last + 1
        if first > sequences.first:
            yield from self._from_other([SequenceRange(sequences.first, first - 1)])
        if in_log:
            for part in read_parts(self._log, self._dataset, in_log, self._job):
                self.seen = merge([*self.seen, *_ranges_of(part.sequences)])
                yield part
            if not self._sources.is_complete:
                yield from self._from_other(
                    subtract(SequenceRange(in_log.first, sequences.last), self.seen)
                )

    def _from_other(self, wanted: Sequence[SequenceRange]) -> Iterator[Part]:
        if not (wanted and self._sources.other_holds):
            return
        for batch in self._other.events(self._day, wanted[-1].last):
            found = within(batch, wanted)
            if found.num_rows:
                sequences = found["stream_seq"].to_pylist()
                self.filled = merge([*self.filled, *_ranges_of(sequences)])
                yield Part([found])


def _ranges_of(sequences: Iterable[int]) -> list[SequenceRange]:
    """Groups ascending sequences into ranges."""
    ordered = list(dict.fromkeys(sequences))
    if ordered and ordered[-1] - ordered[0] + 1 == len(ordered):
        return [SequenceRange(ordered[0], ordered[-1])]
    return merge(SequenceRange(each, each) for each in ordered)


def within(batch: pa.RecordBatch, ranges: Sequence[SequenceRange]) -> pa.RecordBatch:
    """The rows of a batch whose sequence is in one of the ascending ranges."""
    firsts = [each.first for each in ranges]

    def is_in(sequence: int) -> bool:
        number = bisect_right(firsts, sequence) - 1
        return number >= 0 and sequence <= ranges[number].last

    return batch.filter(pa.array([is_in(each) for each in batch["stream_seq"].to_pylist()]))


def _require_nothing_lost(
    replacement: Replacement, report: Report, plane: Plane, other: Plane, day: date
) -> None:
    lost = replacement.missing(SHOWN)
    if lost and replacement.count() != report.rows:
        raise PlaneError(
            f"the {plane.name} plane lost {plane.dataset.name} of {day} that it had acknowledged. "
            "Materialise the partition again."
        )
    if lost:
        more = " and more" if len(lost) == SHOWN else ""
        nowhere = (
            "the log no longer gives"
            if other.name == plane.name
            else f"neither the log nor the {other.name} plane has"
        )
        raise EventsWouldBeLost(
            f"the {plane.name} plane holds {plane.dataset.name} of {day} that {nowhere}: "
            f"{', '.join(lost)}{more}. The partition stays as it is. "
            f"To remove {plane.dataset.name} on purpose, use `fraiseql-assets erase`."
        )
