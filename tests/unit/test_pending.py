from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from fraiseql_assets.pipeline.pending import (
    PendingRange,
    beyond_log,
    next_pending,
    uncommitted,
    unfinished_replacements,
)
from fraiseql_assets.planes import Batching, LedgerEntry
from fraiseql_assets.ranges import SequenceRange

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


@dataclass(frozen=True)
class At:
    sequence: int
    day: date


class TwoDays:
    """A log of 200 sequences, of which the first hundred were stored on Monday."""

    def __init__(self, first: int = 1, last: int = 200) -> None:
        self.first, self.last = first, last

    def position_from(self, sequence: int) -> At | None:
        found = max(sequence, self.first)
        if found > self.last:
            return None
        return At(found, MONDAY if found <= 100 else TUESDAY)

    def day_range(self, day: date) -> SequenceRange | None:
        return SequenceRange(1, 100) if day == MONDAY else SequenceRange(101, self.last)


def entry(first: int, last: int, state: str = "committed", kind: str = "range") -> LedgerEntry:
    return LedgerEntry(
        stream="s",
        range=SequenceRange(first, last),
        day=MONDAY if first <= 100 else TUESDAY,
        state=state,  # pyright: ignore[reportArgumentType]
        batching=Batching(1, 1, 1, 1),
        attempt=1,
        run_id="r",
        at=datetime(2026, 3, 2, tzinfo=UTC),
        kind=kind,  # pyright: ignore[reportArgumentType]
    )


def pending(
    entries: list[LedgerEntry], log: TwoDays | None = None, most: int = 1000
) -> PendingRange | None:
    log = log or TwoDays()
    missing = uncommitted(log.first, log.last, entries)
    return next_pending(log, missing, entries, most=most)


def test_an_empty_ledger_starts_at_the_first_message() -> None:
    assert pending([], TwoDays(first=40)) == PendingRange(SequenceRange(40, 100), MONDAY)


def test_a_range_ends_where_its_day_ends() -> None:
    assert pending([entry(1, 60)]) == PendingRange(SequenceRange(61, 100), MONDAY)


def test_the_size_of_a_range_is_limited() -> None:
    assert pending([entry(1, 10)], most=5) == PendingRange(SequenceRange(11, 15), MONDAY)


def test_the_next_day_follows_a_committed_day() -> None:
    assert pending([entry(1, 100)]) == PendingRange(SequenceRange(101, 200), TUESDAY)


def test_nothing_is_pending_when_every_message_is_committed() -> None:
    assert pending([entry(1, 100), entry(101, 200)]) is None


def test_a_gap_between_committed_ranges_comes_first() -> None:
    assert pending([entry(1, 20), entry(31, 100)]) == PendingRange(SequenceRange(21, 30), MONDAY)


def test_a_begun_range_is_pending_with_its_own_bounds() -> None:
    assert pending([entry(1, 20), entry(21, 50, "begun")]) == PendingRange(
        SequenceRange(21, 50), MONDAY
    )


def test_a_new_range_ends_before_a_begun_one() -> None:
    entries = [entry(1, 20), entry(31, 50, "begun"), entry(51, 100)]
    assert pending(entries) == PendingRange(SequenceRange(21, 30), MONDAY)


def test_a_begun_range_within_a_committed_one_is_not_pending() -> None:
    assert pending([entry(1, 100), entry(21, 50, "begun"), entry(101, 200)]) is None


def test_a_begun_replacement_is_rebuilt() -> None:
    entries = [entry(1, 50), entry(1, 80, "begun", "partition")]
    assert pending(entries) == PendingRange(SequenceRange(1, 80), MONDAY, rebuild=True)


def test_a_begun_replacement_is_found_without_missing_sequences() -> None:
    begun = entry(1, 100, "begun", "partition")
    entries = [entry(1, 50), entry(51, 100), begun, entry(101, 200, "begun")]
    assert unfinished_replacements(entries) == [begun]


def test_messages_deleted_unread_are_pending_so_that_the_loss_is_recorded() -> None:
    assert pending([entry(1, 20)], TwoDays(first=60), most=30) == PendingRange(
        SequenceRange(21, 50), MONDAY
    )


@pytest.mark.parametrize("first", [0, 1])
def test_nothing_is_pending_for_an_empty_log(first: int) -> None:
    assert pending([], TwoDays(first=first, last=0)) is None


def test_ranges_beyond_the_end_of_the_log_are_from_another_log() -> None:
    assert beyond_log(150, [entry(1, 100), entry(101, 200)]) == SequenceRange(151, 200)


def test_a_ledger_that_ends_with_the_log_is_from_this_log() -> None:
    assert beyond_log(200, [entry(1, 100), entry(101, 200)]) is None


def test_a_begun_range_is_no_evidence_of_another_log() -> None:
    assert beyond_log(150, [entry(1, 100), entry(101, 200, "begun")]) is None
