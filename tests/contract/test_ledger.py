"""The ledger: the newest entry of every range, durable, by stream and day."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from event_tables import DAY, STREAM, block, entry, event

from fraiseql_assets.planes import Plane


def test_it_is_empty_at_first(plane: Plane) -> None:
    assert plane.ledger(STREAM) == []


def test_what_is_recorded_is_read_back_exactly(plane: Plane) -> None:
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


def test_entries_come_by_first_sequence(plane: Plane) -> None:
    for first in (900, 1, 10_000, 50):
        plane.record(entry(first, first + 9))
    assert [found.range.first for found in plane.ledger(STREAM)] == [1, 50, 900, 10_000]


def test_streams_and_days_are_told_apart(plane: Plane) -> None:
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


def test_what_a_recorded_replacement_could_not_forget_any_more_is_void(plane: Plane) -> None:
    plane.record(entry(1, 60, state="committed"))
    plane.record(entry(61, 90))
    replacement = entry(1, 120, state="committed", kind="partition")
    plane.record(replacement)
    later = entry(121, 130)
    plane.record(later)
    assert plane.ledger(STREAM) == [replacement, later]
