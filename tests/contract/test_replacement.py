"""A day is rebuilt beside the live one, then replaces it in one step."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from event_tables import DAY, STREAM, block, entry, event

from fraiseql_assets.planes import AssetReader, Plane, PlaneError

BEFORE = [event(number) for number in range(1, 201)]
AFTER = [event(number) for number in range(1, 301)]


@pytest.fixture
def filled(plane: Plane) -> Plane:
    """The plane with a committed range of 200 events."""
    plane.record(entry(1, 200))
    plane.write(block(BEFORE))
    plane.record(entry(1, 200, state="committed", rows=200, messages=200))
    return plane


def partition(last: int, rows: int, **fields: Any) -> Any:
    return entry(1, last, state="committed", kind="partition", rows=rows, messages=rows, **fields)


def test_a_swap_replaces_rows_and_ledger_entries(filled: Plane) -> None:
    replacement = filled.replace(DAY)
    assert replacement.write(block(AFTER)).rows == 300
    assert filled.count(DAY).rows == 200
    swapped = partition(300, 300, run_id="run-2")
    replacement.swap(swapped)
    assert filled.count(DAY).rows == 300
    assert filled.ledger(STREAM) == [swapped]


def test_rows_of_only_the_old_day_are_removed(filled: Plane) -> None:
    filled.write(block([event(150, event_id="stray", stream_row=1)]))
    replacement = filled.replace(DAY)
    replacement.write(block(BEFORE))
    replacement.swap(partition(200, 200))
    assert filled.count(DAY).rows == 200


def test_an_abandoned_replacement_keeps_the_old_day(filled: Plane) -> None:
    before = filled.ledger(STREAM)
    replacement = filled.replace(DAY)
    replacement.write(block(AFTER))
    replacement.abandon()
    assert filled.count(DAY).rows == 200
    assert filled.ledger(STREAM) == before


def test_remains_of_a_killed_replacement_are_dropped_by_the_next(filled: Plane) -> None:
    filled.replace(DAY).write(block([event(number) for number in range(400, 500)]))
    replacement = filled.replace(DAY)
    replacement.write(block(AFTER))
    replacement.swap(partition(300, 300))
    assert filled.count(DAY).rows == 300


def test_a_superseded_replacement_is_not_swapped(filled: Plane) -> None:
    first = filled.replace(DAY)
    first.write(block(AFTER[:150]))
    filled.replace(DAY)
    first.write(block(AFTER[150:], number=1))
    with pytest.raises(PlaneError):
        first.swap(partition(300, 300))
    assert filled.count(DAY).rows == 200


def test_a_new_day_appears_at_once(plane: Plane) -> None:
    replacement = plane.replace(DAY)
    replacement.write(block(BEFORE))
    assert plane.count(DAY).rows == 0
    replacement.swap(partition(200, 200))
    assert plane.count(DAY).rows == 200


def test_a_day_can_be_replaced_by_nothing(filled: Plane) -> None:
    filled.replace(DAY).swap(partition(200, 0))
    assert filled.count(DAY).rows == 0


def test_events_written_after_the_swap_join_the_new_day(filled: Plane) -> None:
    replacement = filled.replace(DAY)
    replacement.write(block(AFTER))
    replacement.swap(partition(300, 300))
    later = block([event(301), event(302), event(303, event_id="e-7")])
    assert (filled.write(later).rows, filled.write(later).duplicates) == (2, 1)
    assert filled.count(DAY).rows == 302


def test_a_range_written_during_a_replacement_is_not_lost(filled: Plane) -> None:
    replacement = filled.replace(DAY)
    replacement.write(block(BEFORE))
    filled.record(entry(201, 202))
    filled.write(block([event(201), event(202)]))
    filled.record(entry(201, 202, state="committed", rows=2, messages=2))
    with pytest.raises(PlaneError, match=r"201-202.*again"):
        replacement.swap(partition(200, 200))
    assert filled.count(DAY).rows == 202


def test_a_block_removed_by_a_replacement_can_be_written_again(filled: Plane) -> None:
    late = block([event(201), event(202)])
    filled.record(entry(201, 202))
    filled.write(late)
    replacement = filled.replace(DAY)
    replacement.write(block(BEFORE))
    replacement.swap(partition(200, 200))
    assert filled.count(DAY).rows == 200
    assert filled.write(late).rows == 2
    assert filled.count(DAY).rows == 202


def test_other_days_and_streams_are_unchanged(filled: Plane) -> None:
    tomorrow = DAY + timedelta(days=1)
    other = [event(201, stream_time=AFTER[0]["stream_time"] + timedelta(days=1))]
    filled.write(block(other, day=tomorrow))
    kept = [entry(201, 201, day=tomorrow), entry(1, 9, stream="another")]
    for recorded in kept:
        filled.record(recorded)
    replacement = filled.replace(DAY)
    replacement.write(block(AFTER))
    replacement.swap(partition(300, 300))
    assert filled.count(tomorrow).rows == 1
    assert filled.ledger(STREAM, tomorrow) == kept[:1]
    assert filled.ledger("another") == kept[1:]


def test_a_reader_never_sees_a_partial_or_empty_day(
    filled: Plane, reader: AssetReader, asset: str
) -> None:
    seen: set[int] = set()
    failed: list[Exception] = []
    over = threading.Event()

    def count_in_a_loop() -> None:
        try:
            while not over.is_set():
                seen.add(sum(batch.num_rows for batch in reader.batches(asset, [DAY])))
                seen.add(filled.count(DAY).rows)
        except Exception as error:
            failed.append(error)

    counting = threading.Thread(target=count_in_a_loop)
    counting.start()
    try:
        for _ in range(4):
            replacement = filled.replace(DAY)
            replacement.write(block(AFTER))
            replacement.swap(partition(300, 300))
    finally:
        over.set()
        counting.join()
    assert not failed
    assert seen <= {200, 300}
    assert 300 in seen
