"""Compares a day of a plane with the log: is every event there exactly once?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from fraiseql_assets.planes import DayCounts, LedgerEntry, Plane, PlaneError
from fraiseql_assets.ranges import SequenceRange, subtract
from fraiseql_assets.stream.log import Log

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of comparing one day."""

    day: date
    in_log: SequenceRange | None
    """The sequences of the day that the log holds."""
    log_messages: int
    """Messages in the committed ranges of the day that the log holds."""
    ledger_messages: int
    ledger_rows: int
    duplicates_dropped: int
    dead_letters: int
    counts: DayCounts
    gaps: tuple[SequenceRange, ...]
    """Uncommitted sequences that are followed by committed ones."""
    lost: tuple[SequenceRange, ...]
    """Ranges with messages that the log dropped before they were read."""
    waiting: int
    """Messages at the end of the day that no run has ingested yet."""

    @property
    def rows_match(self) -> bool:
        """The plane holds as many rows as its runs wrote, and they read all messages in the log."""
        log_is_shorter = self.in_log is None or self.log_messages < self.ledger_messages
        return self.counts.rows == self.ledger_rows and (
            log_is_shorter or self.log_messages == self.ledger_messages
        )

    @property
    def no_gaps(self) -> bool:
        return not self.gaps and not self.lost

    @property
    def no_duplicates(self) -> bool:
        return self.counts.rows == self.counts.distinct_ids

    @property
    def is_complete(self) -> bool:
        """There are no errors and no unread messages."""
        return self.rows_match and self.no_gaps and self.no_duplicates and not self.waiting


def verify_day(plane: Plane, log: Log, day: date, *, distinct: bool = True) -> Verdict:
    """Compares a day with a few requests to plane and log, without reading messages.

    Without `distinct`, the ids of the day's events are not checked for duplicates.

    Raises:
        PlaneError, LogError: the plane or the log did not answer.
    """
    entries = plane.ledger(log.stream, day)
    for _ in range(ATTEMPTS):
        counts = plane.count(day, distinct=distinct)
        before, entries = entries, plane.ledger(log.stream, day)
        # A commit between counting and reading the ledger would make the two disagree.
        if before == entries:
            return _verdict(log, day, entries, counts)
    raise PlaneError(
        f"the {plane.name} plane commits to {day} faster than it can be counted. "
        "Check again when it has caught up."
    )


def _verdict(log: Log, day: date, entries: Iterable[LedgerEntry], counts: DayCounts) -> Verdict:
    committed = [entry for entry in entries if entry.state == "committed"]
    in_log = log.day_range(day)
    reached = max((entry.range.last for entry in committed), default=0)
    gaps: tuple[SequenceRange, ...] = ()
    waiting = log_messages = 0
    if in_log:
        missing = subtract(in_log, [entry.range for entry in committed])
        gaps = tuple(gap for gap in missing if gap.first <= reached)
        waiting = sum(log.count_messages(gap) for gap in missing if gap.first > reached)
        if in_log.first <= reached:
            seen = SequenceRange(in_log.first, min(reached, in_log.last))
            log_messages = log.count_messages(seen)
    return Verdict(
        day=day,
        in_log=in_log,
        log_messages=log_messages,
        ledger_messages=sum(entry.messages for entry in committed),
        ledger_rows=sum(entry.rows for entry in committed),
        duplicates_dropped=sum(entry.duplicates for entry in committed),
        dead_letters=sum(entry.dead_letters for entry in committed),
        counts=counts,
        gaps=gaps,
        lost=tuple(e.range for e in committed if e.messages < len(e.range)),
        waiting=waiting,
    )
