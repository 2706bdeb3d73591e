"""What is in the log and not yet in a plane: which range or day comes next. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from fraiseql_assets.pipeline.job import IngestError
from fraiseql_assets.planes import LedgerEntry, committed_ranges
from fraiseql_assets.ranges import SequenceRange, subtract


class Positions(Protocol):
    """What must be known of the log; `fraiseql_assets.stream.log.Log` knows it."""

    def position_from(self, sequence: int) -> "PositionLike | None": ...
    def day_range(self, day: date) -> SequenceRange | None: ...


class LogBounds(Positions, Protocol):
    """As `Positions`, with the log's bounds."""

    def bounds(self) -> "BoundsLike": ...


class BoundsLike(Protocol):
    @property
    def last(self) -> int: ...


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


def uncommitted(first: int, last: int, entries: Sequence[LedgerEntry]) -> list[SequenceRange]:
    """What the log has assigned and the ledger does not hold as committed, ascending.

    Counted from the ledger's first range on: what the log dropped after that is asked for too, so
    that its loss is recorded. A plane without a ledger begins with what the log still has.
    """
    # A stream that never held a message begins at 0.
    start = max(1, min((entry.range.first for entry in entries), default=first))
    if start > last:
        return []
    return subtract(SequenceRange(start, last), committed_ranges(entries))


def beyond_log(last: int, entries: Sequence[LedgerEntry]) -> SequenceRange | None:
    """What the ledger holds as committed beyond `last`, the end of a log that was asked after it.

    Such a log is another one than the ledger's: it was recreated, or its server lost its end.
    """
    reached = max((found.last for found in committed_ranges(entries)), default=0)
    return SequenceRange(last + 1, reached) if reached > last else None


def different_log(plane: str, stream: str, ahead: SequenceRange) -> str:
    """What is wrong with a log that ends before what a plane holds, and what to do."""
    return (
        f"The {plane} plane holds {ahead} of {stream}, which the log has not assigned: the stream "
        "was recreated, or lost its end. New messages with these sequences would be taken for "
        "done, so none is read. Recreate the stream with its first sequence at "
        f"{ahead.last + 1} and publish its messages again, or empty the plane and run "
        "`fraiseql-assets setup`."
    )


def lost_unread(newest: int, missing: Sequence[SequenceRange]) -> list[SequenceRange]:
    """What no run can take because the log has dropped it, and everything behind it.

    `newest` is the sequence of the newest message that the log still holds, 0 if none. What the log
    dropped in front of a message is taken with that message, and its loss recorded.
    """
    return [
        SequenceRange(max(each.first, newest + 1), each.last)
        for each in missing
        if each.last > newest
    ]


def lost_sentence(plane: str, stream: str, lost: Sequence[SequenceRange]) -> str:
    """What is lost of a log, and what to do."""
    return (
        f"{stream} has dropped {', '.join(map(str, lost))} before the {plane} plane read it, and "
        "holds nothing behind it. Publish these messages again, or materialise the day if the "
        "other plane has them. The loss is recorded with the next message."
    )


def unfinished_replacements(entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Replacements of a day that were begun and not committed, the oldest first: of such a day some
    tables may be replaced and some not, even when no sequence of it is missing."""
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
    position = positions.position_from(oldest.first)
    if position is None:
        return None
    last = min(oldest.last, oldest.first + most - 1)
    if position.sequence > last:
        # The log has dropped all of it: it is asked for all the same, and its loss recorded.
        return PendingRange(SequenceRange(oldest.first, last), position.day)
    sequences = positions.day_range(position.day)
    if sequences is not None:
        last = min(last, sequences.last)
    next_begun = [
        entry.range.first
        for entry in entries
        if entry.state == "begun" and entry.range.first > oldest.first
    ]
    last = min([last, *(first - 1 for first in next_begun)])
    return PendingRange(SequenceRange(oldest.first, last), position.day)


def parse_range(text: str) -> SequenceRange:
    """The range that a person or a sensor wrote.

    Raises:
        IngestError: the text is not a range.
    """
    try:
        return SequenceRange.parse(text)
    except ValueError as error:
        raise IngestError(str(error)) from error


def require_in_day(
    log: LogBounds, sequences: SequenceRange, day: date, entries: Sequence[LedgerEntry]
) -> None:
    """Returns when the log has assigned a range, and all of it on one day.

    What the log dropped unread counts to the day of the next message, as the sensors count it.

    Raises:
        IngestError: the range lies outside the log or reaches into another day.
    """
    if any(entry.range == sequences and entry.day == day for entry in entries):
        return
    bounds, position = log.bounds(), log.position_from(sequences.first)
    if sequences.last > bounds.last:
        raise IngestError(
            f"the log ends at sequence {bounds.last}; it has not assigned {sequences}"
        )
    if position is None:
        raise IngestError(f"the log no longer holds any message from {sequences.first} on")
    in_day = log.day_range(day)
    last = sequences.last if position.sequence <= sequences.last else position.sequence
    if position.day != day or (in_day and last > in_day.last):
        held = f"of {day} the log holds {in_day}" if in_day else f"the log holds nothing of {day}"
        raise IngestError(
            f"{sequences} is not of this partition: {held}, and its first message is of "
            f"{position.day}. Choose the partition of that day, or another range."
        )
