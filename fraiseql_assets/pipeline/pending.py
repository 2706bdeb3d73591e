"""What is in the log and not yet in a plane: which range or day comes next. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from fraiseql_assets.planes import LedgerEntry, committed_ranges
from fraiseql_assets.ranges import SequenceRange, subtract


class Positions(Protocol):
    """What must be known of the log; `fraiseql_assets.stream.log.Log` knows it."""

    def position_from(self, sequence: int) -> "PositionLike | None": ...
    def day_range(self, day: date) -> SequenceRange | None: ...


class PositionLike(Protocol):
    @property
    def sequence(self) -> int: ...
    @property
    def day(self) -> date: ...


@dataclass(frozen=True, slots=True)
class PendingRange:
    """Work that a plane is asked for next."""

    range: SequenceRange
    day: date
    rebuild: bool = False
    """The day's replacement was begun and not committed: the whole partition is built again."""


def unclaimed(first: int, last: int, entries: Sequence[LedgerEntry]) -> list[SequenceRange]:
    """What the log has given out and the ledger holds as committed nowhere, ascending.

    Counted from the ledger's first range on: what the log dropped after that is asked for too, so
    that its loss is recorded. A plane without a ledger begins with what the log still has.
    """
    # A stream that never held a message begins at 0.
    start = max(1, min((entry.range.first for entry in entries), default=first))
    if start > last:
        return []
    return subtract(SequenceRange(start, last), committed_ranges(entries))


def never_assigned(last: int, entries: Sequence[LedgerEntry]) -> SequenceRange | None:
    """What the ledger holds as committed behind `last`, the end of a log that was asked after it.

    Such a log is another one than the ledger's: made anew, or its server has lost the end of it.
    """
    reached = max((found.last for found in committed_ranges(entries)), default=0)
    return SequenceRange(last + 1, reached) if reached > last else None


def different_log(plane: str, stream: str, ahead: SequenceRange) -> str:
    """What is wrong with a log that has not given out what a plane holds, and what to do."""
    return (
        f"The {plane} plane holds {ahead} of {stream}, which the log has not given out: the stream "
        "was made anew, or has lost its end. What comes under these sequences would pass for done, "
        f"so none is taken. Make the stream anew with its first sequence at {ahead.last + 1} and "
        "publish again what it holds, or empty the plane and run `fraiseql-assets setup`."
    )


def half_replaced(entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Replacements of a day that were begun and not committed, the oldest first: of such a day some
    tables may be the new ones and some the old, whether or not a sequence of it is missing."""
    begun = (entry for entry in entries if (entry.kind, entry.state) == ("partition", "begun"))
    return sorted(begun, key=lambda entry: entry.range)


def next_pending(
    positions: Positions,
    missing: Sequence[SequenceRange],
    entries: Sequence[LedgerEntry],
    *,
    most: int,
) -> PendingRange | None:
    """The oldest work: a range that was begun, again with its own bounds, or a new one.

    A new range lies within one UTC day of storage and holds at most `most` sequences.
    """
    if not missing:
        return None
    oldest = missing[0]
    begun = [
        entry
        for entry in entries
        if entry.state == "begun" and entry.range.first <= oldest.first <= entry.range.last
    ]
    if begun:
        entry = max(begun, key=lambda entry: entry.at)
        return PendingRange(entry.range, entry.day, rebuild=entry.kind == "partition")
    place = positions.position_from(oldest.first)
    if place is None:
        return None
    last = min(oldest.last, oldest.first + most - 1)
    if place.sequence > last:
        # The log has dropped all of it: it is asked for all the same, and its loss recorded.
        return PendingRange(SequenceRange(oldest.first, last), place.day)
    sequences = positions.day_range(place.day)
    if sequences is not None:
        last = min(last, sequences.last)
    next_begun = [
        entry.range.first
        for entry in entries
        if entry.state == "begun" and entry.range.first > oldest.first
    ]
    last = min([last, *(first - 1 for first in next_begun)])
    return PendingRange(SequenceRange(oldest.first, last), place.day)
