"""A run that keeps going: it takes range after range of a day while messages keep coming."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce

from fraiseql_assets.pipeline.compact import compact_ranges
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job, Report
from fraiseql_assets.pipeline.pending import next_pending, require_in_day
from fraiseql_assets.planes import Plane, committed_ranges
from fraiseql_assets.ranges import SequenceRange, merge, subtract
from fraiseql_assets.stream.log import Log

POLL_SECONDS = 0.1
"""How often a waiting run asks the log for its end: one small request."""
RANGE_SECONDS = 0.5
"""Ranges begin no more often than this: each one costs the plane a block and two ledger entries."""
LONGEST_RANGE_SECONDS = 4.0
"""About how long one range may take, so that a run that waits is let in within ten seconds."""
FIRST_RANGE_MESSAGES = 50_000
"""The largest first range, before it is known how fast the plane takes messages."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run that keeps going ends by itself."""

    seconds: float
    quiet_seconds: float
    range_messages: int


@dataclass(frozen=True, slots=True)
class Followed:
    """What a run did that kept going."""

    report: Report
    """The sums of all ranges."""
    ranges: tuple[SequenceRange, ...]
    """The sequences that it took, in as few ranges as can be."""
    count: int
    """How many ranges it took them in."""
    ended: str
    """Why it ended."""


def follow(
    plane: Plane,
    log: Log,
    day: date,
    job: Job,
    limits: Limits,
    *,
    first: SequenceRange | None,
    reason_to_end: Callable[[], str | None],
    progress: Callable[[Report], None],
) -> Followed:
    """Takes the range `first`, if any, then what else the log holds of the day and the plane does
    not, then what comes meanwhile.

    Each range is begun and committed in the ledger by itself. `reason_to_end` is asked between
    ranges; `progress` is told of each range. Afterwards the ledger's entries are put together.

    Raises:
        IngestError, PlaneError, LogError: a range could not be taken; what was committed stays.
    """
    started = time.monotonic()
    reports: list[Report] = []
    waiting = _Waiting(plane, log, day, job, limits, started, reason_to_end)
    pending: SequenceRange | str = (
        _first_range(plane, log, first, day, limits) if first else waiting.next_range(reports)
    )
    while isinstance(pending, SequenceRange):
        report = ingest_range(plane, log, pending, day, job)
        reports.append(report)
        progress(report)
        pending = waiting.next_range(reports)
    # What a run leaves that fails before this, the next one puts together.
    compact_ranges(plane, log.stream, day, job.run_id)
    ranges = merge(report.range for report in reports if report.range)
    bounds = SequenceRange(ranges[0].first, ranges[-1].last) if ranges else None
    total = reduce(Report.plus, reports, Report(range=bounds, already_committed=not ranges))
    total = replace(total, seconds=time.monotonic() - started)
    return Followed(total, tuple(ranges), len(reports), pending)


def _first_range(
    plane: Plane, log: Log, first: SequenceRange, day: date, limits: Limits
) -> SequenceRange:
    """The range that was asked for, or its beginning where it is large and nobody began it.

    Raises:
        IngestError: it lies outside the log or in another day.
    """
    entries = plane.ledger(log.stream, day)
    require_in_day(log, first, day, entries)
    if any(entry.range.overlaps(first) for entry in entries if entry.state == "begun"):
        return first
    last = first.first + min(FIRST_RANGE_MESSAGES, limits.range_messages) - 1
    return SequenceRange(first.first, min(first.last, last))


@dataclass(slots=True)
class _Waiting:
    """The time between two ranges."""

    plane: Plane
    log: Log
    day: date
    job: Job
    limits: Limits
    started: float
    reason_to_end: Callable[[], str | None]
    last_range_at: float = 0.0
    known_end: int = -1
    """The log's end when nothing of the day was left to take."""

    def next_range(self, reports: Sequence[Report]) -> SequenceRange | str:
        """The next range of the day, waited for; or why there will be none."""
        quiet_since = time.monotonic()
        while True:
            self.job.checkpoint()
            now = time.monotonic()
            if now - self.started > self.limits.seconds:
                return f"it has run for {self.limits.seconds:.0f} s"
            reason = self.reason_to_end()
            if reason:
                return reason
            if now - self.last_range_at >= RANGE_SECONDS:
                found = self._pending(_most(reports, self.limits))
                if isinstance(found, str):
                    return found
                if found:
                    self.last_range_at = now
                    return found
            if now - quiet_since > self.limits.quiet_seconds:
                return f"the log was quiet for {self.limits.quiet_seconds:.0f} s"
            time.sleep(POLL_SECONDS)

    def _pending(self, most: int) -> SequenceRange | str | None:
        """What is left of the day now; a text when the day is over and taken."""
        end = self.log.bounds().last
        if end == self.known_end:
            return None
        in_log = self.log.day_range(self.day)
        entries = self.plane.ledger(self.log.stream, self.day)
        missing = subtract(in_log, committed_ranges(entries)) if in_log else []
        pending = next_pending(self.log, missing, entries, most=most)
        if pending and pending.rebuild:
            return "the day's replacement was begun and not finished; it is rebuilt first"
        if pending:
            return pending.range
        if in_log and end > in_log.last:
            return "the day is over"
        self.known_end = end
        return None


def _most(reports: Sequence[Report], limits: Limits) -> int:
    """How many messages the next range may have, by how long the last ones took."""
    timed = [r for r in reports[-3:] if r.messages and r.seconds]
    if not timed:
        return min(FIRST_RANGE_MESSAGES, limits.range_messages)
    rate = sum(r.messages for r in timed) / sum(r.seconds for r in timed)
    largest = max(r.messages for r in timed)
    # A short range tells little of a long one: it grows step by step.
    most = min(rate * LONGEST_RANGE_SECONDS, 4 * largest + FIRST_RANGE_MESSAGES)
    return int(max(1, min(most, limits.range_messages)))
