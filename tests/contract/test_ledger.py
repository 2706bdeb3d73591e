"""The ledger: the newest entry of every range, durable, by stream and day."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from event_tables import DAY, STREAM, block, entry, event

from fraiseql_assets.pipeline.compact import compact_day, compact_ranges
from fraiseql_assets.planes import LedgerEntry, Plane
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings


def test_a_new_ledger_is_empty(plane: Plane) -> None:
    assert plane.ledger(STREAM) == []


def test_an_entry_round_trips(plane: Plane) -> None:
    recorded = entry(
        *(3, 2**53 + 1),
        attempt=4,
        run_id="run-é",
        at=datetime(2026, 3, 14, 23, 59, 59, 999_999, UTC),
        messages=2**40,
        duplicates=2,
        dead_letters=1,
        kind="partition",
        source="analytics+log",
    )
    plane.record(recorded)
    assert plane.ledger(STREAM) == [recorded]


def test_a_range_is_begun_and_then_committed(plane: Plane) -> None:
    begun = entry(1, 2)
    plane.record(begun)
    assert plane.ledger(STREAM) == [begun]
    plane.write(block([event(1), event(2)]))
    at = begun.at + timedelta(seconds=1)
    committed = replace(begun, state="committed", messages=2, rows=2, at=at)
    plane.record(committed)
    assert plane.ledger(STREAM) == [committed]


def test_entries_are_ordered_by_first_sequence(plane: Plane) -> None:
    for first in (900, 1, 10_000, 50):
        plane.record(entry(first, first + 9))
    assert [found.range.first for found in plane.ledger(STREAM)] == [1, 50, 900, 10_000]


def test_entries_of_streams_and_days_are_separate(plane: Plane) -> None:
    tomorrow = DAY + timedelta(days=1)
    first, second = entry(1, 5), entry(6, 9, day=tomorrow)
    elsewhere = entry(1, 5, stream="another")
    for recorded in (first, second, elsewhere):
        plane.record(recorded)
    assert plane.ledger(STREAM) == [first, second]
    assert plane.ledger(STREAM, tomorrow) == [second]
    assert plane.ledger("another") == [elsewhere]
    assert plane.ledger("a third") == []


def test_another_connection_sees_an_entry_at_once(
    plane: Plane, open_plane: Callable[..., Plane]
) -> None:
    recorded = entry(1, 5)
    plane.record(recorded)
    assert open_plane().ledger(STREAM) == [recorded]


def test_entries_within_a_recorded_replacement_are_ignored(plane: Plane) -> None:
    plane.record(entry(1, 60, state="committed"))
    plane.record(entry(61, 90))
    replacement = entry(1, 120, state="committed", kind="partition")
    plane.record(replacement)
    later = entry(121, 130)
    plane.record(later)
    assert plane.ledger(STREAM) == [replacement, later]


def committed_day(plane: Plane) -> list[LedgerEntry]:
    """A day of three ranges, the last of which also came from the other plane."""
    entries = [
        entry(1, 3, state="committed", messages=3, rows=2, duplicates=1),
        entry(4, 4, state="committed", messages=1, dead_letters=1),
        entry(5, 9, state="committed", messages=5, rows=5, source="another+log"),
    ]
    plane.write(block([event(number) for number in (1, 2, 5, 6, 7, 8, 9)]))
    for each in entries:
        plane.record(each)
    return entries


def test_a_compacted_day_is_one_entry_with_the_sums_of_all(plane: Plane) -> None:
    committed_day(plane)
    assert compact_day(plane, STREAM, DAY, "run-2") == 3
    [compacted] = plane.ledger(STREAM)
    assert (compacted.range, compacted.state, compacted.kind) == (
        SequenceRange(1, 9),
        "committed",
        "partition",
    )
    assert (compacted.messages, compacted.rows, compacted.duplicates, compacted.dead_letters) == (
        9,
        7,
        1,
        1,
    )
    assert (compacted.source, compacted.run_id) == ("log+another", "run-2")


def test_a_compacted_day_is_not_compacted_again(plane: Plane) -> None:
    committed_day(plane)
    compact_day(plane, STREAM, DAY, "run-2")
    assert compact_day(plane, STREAM, DAY, "run-3") == 0


def test_a_day_with_a_begun_range_is_not_compacted(plane: Plane) -> None:
    entries = [*committed_day(plane), entry(10, 12)]
    plane.record(entries[-1])
    assert compact_day(plane, STREAM, DAY, "run-2") == 0
    assert plane.ledger(STREAM) == entries


def test_remains_of_a_killed_compaction_are_ignored(plane: Plane) -> None:
    committed_day(plane)
    whole = entry(1, 9, state="committed", kind="partition", messages=9, rows=7)
    plane.record(whole)
    assert plane.ledger(STREAM) == [whole]


def test_entries_of_days_past_their_retention_are_deleted(plane: Plane, settings: Settings) -> None:
    kept = plane.dataset.retention_days(settings)
    days = [DAY - timedelta(days=back) for back in (0, kept - 1, kept, kept + 7)]
    for number, day in enumerate(days, 1):
        plane.record(entry(number, number, day=day, state="committed"))
    assert any("2 entries" in line for line in plane.enforce_retention(DAY))
    assert [found.day for found in plane.ledger(STREAM)] == days[:2]
    assert plane.enforce_retention(DAY) == []


def test_ranges_combined_by_a_killed_run_count_once(plane: Plane) -> None:
    entries = committed_day(plane)
    together = entry(1, 4, state="committed", messages=4, rows=2, duplicates=1, dead_letters=1)
    plane.record(together)
    assert plane.ledger(STREAM) == [together, entries[2]]


def test_adjacent_ranges_are_combined(plane: Plane) -> None:
    entries = committed_day(plane)
    apart = entry(20, 20, state="committed", messages=1, dead_letters=1)
    plane.record(apart)
    assert compact_ranges(plane, STREAM, DAY, "run-2") == len(entries) - 1
    together, left = plane.ledger(STREAM)
    assert (together.range, together.kind, together.rows) == (SequenceRange(1, 9), "range", 7)
    assert left == apart


def test_ranges_that_were_begun_and_committed_are_compacted_to_one_entry(plane: Plane) -> None:
    for first, last in ((1, 10), (11, 20)):
        plane.record(entry(first, last))
        plane.record(entry(first, last, state="committed"))
    compact_ranges(plane, STREAM, DAY, "run-2")
    [compacted] = plane.ledger(STREAM)
    assert (compacted.range, compacted.state) == (SequenceRange(1, 20), "committed")
