"""A long-running ingest: ingests range after range of a day while messages arrive."""

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
"""How often a waiting run reads the end of the log, with one small request."""
RANGE_SECONDS = 1.0
"""The least time between ranges: each range costs the plane a block and two ledger entries."""
LONGEST_RANGE_SECONDS = 4.0
"""The target duration of one range, so that a waiting run can start within ten seconds."""
FIRST_RANGE_MESSAGES = 50_000
"""The largest first range, before the write speed of the plane is known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a long-running ingest ends by itself."""

    seconds: float
    quiet_seconds: float
    range_messages: int


@dataclass(frozen=True, slots=True)
class Followed:
    """The result of a long-running ingest."""

    report: Report
    """The sums of all ranges."""
    ranges: tuple[SequenceRange, ...]
    """The ingested sequences, in as few ranges as possible."""
    count: int
    """The number of ranges ingested."""
    ended: str
    """Why the run ended."""


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
    """Ingests the range `first`, if any, then everything of the day that the log holds and the
    plane does not, then new messages as they arrive.

    Each range is begun and committed in the ledger separately. `reason_to_end` is called between
    ranges, and `progress` with the report of each range. At the end the ledger is compacted.

    Raises:
        IngestError, PlaneError, LogError: a range could not be ingested; committed ranges stay.
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
    # If a run fails before this, the next run compacts its entries.
    compact_ranges(plane, log.stream, day, job.run_id)
    ranges = merge(report.range for report in reports if report.range)
    bounds = SequenceRange(ranges[0].first, ranges[-1].last) if ranges else None
    total = reduce(Report.plus, reports, Report(range=bounds, already_committed=not ranges))
    total = replace(total, seconds=time.monotonic() - started)
    return Followed(total, tuple(ranges), len(reports), pending)


def _first_range(
    plane: Plane, log: Log, first: SequenceRange, day: date, limits: Limits
) -> SequenceRange:
    """The requested range, or its first part if it is large and no run has begun it.

    Raises:
        IngestError: the range lies outside the log or on another day.
    """
    entries = plane.ledger(log.stream, day)
    require_in_day(log, first, day, entries)
    if any(entry.range.overlaps(first) for entry in entries if entry.state == "begun"):
        return first
    last = first.first + min(FIRST_RANGE_MESSAGES, limits.range_messages) - 1
    return SequenceRange(first.first, min(first.last, last))


@dataclass(slots=True)
class _Waiting:
    """Waits for the next range."""

    plane: Plane
    log: Log
    day: date
    job: Job
    limits: Limits
    started: float
    reason_to_end: Callable[[], str | None]
    last_range_at: float = 0.0
    known_end: int = -1
    """The end of the log when all of the day had been ingested."""

    def next_range(self, reports: Sequence[Report]) -> SequenceRange | str:
        """Waits for the next range of the day. Returns it, or the reason why there is none."""
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
        """The range to ingest now, None if there is none yet, or a reason to end the run."""
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
    """How many messages the next range may have, based on the speed of the last ones."""
    timed = [r for r in reports[-3:] if r.messages and r.seconds]
    if not timed:
        return min(FIRST_RANGE_MESSAGES, limits.range_messages)
    rate = sum(r.messages for r in timed) / sum(r.seconds for r in timed)
    largest = max(r.messages for r in timed)
    # A short range predicts a long one poorly, so the size grows in steps.
    most = min(rate * LONGEST_RANGE_SECONDS, 4 * largest + FIRST_RANGE_MESSAGES)
    return int(max(1, min(most, limits.range_messages)))
