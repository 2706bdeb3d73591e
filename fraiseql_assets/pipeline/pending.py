"""What is in the log but not yet in a plane, and which range or day is next. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from fraiseql_assets.pipeline.job import IngestError
from fraiseql_assets.planes import LedgerEntry, committed_ranges
from fraiseql_assets.ranges import SequenceRange, subtract


class Positions(Protocol):
    """The required part of the log's interface; `fraiseql_assets.stream.log.Log` implements it."""

    def position_from(self, sequence: int) -> "PositionLike | None": ...
    def day_range(self, day: date) -> SequenceRange | None: ...


class LogBounds(Positions, Protocol):
    """`Positions` with the bounds of the log."""

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
    """The next work for a plane."""

    range: SequenceRange
    day: date
    rebuild: bool = False
    """The day's replacement was begun and not committed, so the whole partition is rebuilt."""


def uncommitted(first: int, last: int, entries: Sequence[LedgerEntry]) -> list[SequenceRange]:
    """The sequences that the log has assigned and the ledger has not committed, ascending.

    The result starts at the first range in the ledger. It includes sequences that the log has
    dropped since, so that their loss is recorded. A plane without a ledger starts at the first
    message that the log still holds.
    """
    # The first sequence of a stream that never held a message is 0.
    start = max(1, min((entry.range.first for entry in entries), default=first))
    if start > last:
        return []
    return subtract(SequenceRange(start, last), committed_ranges(entries))


def beyond_log(last: int, entries: Sequence[LedgerEntry]) -> SequenceRange | None:
    """The committed sequences beyond `last`, the end of the log, read after the ledger.

    If there are any, the ledger belongs to a different log: the log was recreated, or its server
    lost the end of it.
    """
    reached = max((found.last for found in committed_ranges(entries)), default=0)
    return SequenceRange(last + 1, reached) if reached > last else None


def different_log(plane: str, stream: str, ahead: SequenceRange) -> str:
    """A message for a log that ends before what a plane holds: what is wrong and what to do."""
    return (
        f"The {plane} plane holds {ahead} of {stream}, which the log has not assigned: the stream "
        "was recreated, or lost its end. New messages with these sequences would be taken for "
        "done, so none is read. Delete the stream and run `fraiseql-assets setup`, which creates "
        f"it from sequence {ahead.last + 1} on, then publish its messages again; or empty the "
        "plane and run setup."
    )


def lost_unread(newest: int, missing: Sequence[SequenceRange]) -> list[SequenceRange]:
    """Missing sequences that no run can ingest: the log dropped them and everything after them.

    `newest` is the sequence of the newest message that the log still holds, 0 if none. Dropped
    sequences before an existing message are ingested with that message, and their loss is recorded.
    """
    return [
        SequenceRange(max(each.first, newest + 1), each.last)
        for each in missing
        if each.last > newest
    ]


def lost_sentence(plane: str, stream: str, lost: Sequence[SequenceRange]) -> str:
    """A message that says what the log has lost and what to do."""
    return (
        f"{stream} has dropped {', '.join(map(str, lost))} before the {plane} plane read it, and "
        "holds nothing behind it. Publish these messages again, or materialise the day if the "
        "other plane has them. The loss is recorded with the next message."
    )


def unfinished_replacements(entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Replacements of a day that were begun and not committed, oldest first. Some tables of such a
    day may be replaced and others not, even if no sequence is missing."""
    begun = (entry for entry in entries if (entry.kind, entry.state) == ("partition", "begun"))
    return sorted(begun, key=lambda entry: entry.range)


def next_pending(
    positions: Positions,
    missing: Sequence[SequenceRange],
    entries: Sequence[LedgerEntry],
    *,
    most: int,
) -> PendingRange | None:
    """The oldest work: a range that was begun, with its original bounds, or a new range.

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
        # The log has dropped the whole range. It is requested anyway, to record the loss.
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
    """Parses a range from a person or a sensor.

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
    """Returns if the log has assigned all of a range, and all on the given day.

    Messages that the log dropped unread count to the day of the next message, as in the sensors.

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
