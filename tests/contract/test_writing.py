"""Writing: every event once, however often it is sent."""

from dataclasses import replace
from datetime import timedelta

from event_tables import DAY, block, entry, event

from fraiseql_assets.planes import DayCounts, Plane, Written


def test_a_block_is_written_completely(plane: Plane) -> None:
    written = plane.write(block([event(number) for number in range(5, 15)]))
    assert written == Written(rows=10, duplicates=0, refused=[])
    assert plane.count(DAY) == DayCounts(rows=10, distinct_ids=10, first_seq=5, last_seq=14)


def test_a_day_without_events_has_no_rows(plane: Plane) -> None:
    assert plane.count(DAY) == DayCounts(rows=0, distinct_ids=0, first_seq=0, last_seq=0)


def test_a_retried_block_has_the_same_counts(plane: Plane) -> None:
    same = block([event(number) for number in range(1, 11)])
    first = plane.write(same)
    assert [plane.write(same), plane.write(same)] == [first, first]
    assert plane.count(DAY).rows == 10


def test_an_event_twice_in_a_block_is_stored_once(plane: Plane) -> None:
    twice = block([event(1, event_id="a"), event(2, event_id="b"), event(3, event_id="a")])
    assert plane.write(twice) == Written(rows=2, duplicates=1, refused=[])
    assert plane.write(twice) == Written(rows=2, duplicates=1, refused=[])
    assert plane.count(DAY) == DayCounts(rows=2, distinct_ids=2, first_seq=1, last_seq=2)


def test_an_event_repeated_in_a_later_block_is_stored_once(plane: Plane) -> None:
    first = block([event(1), event(2)], number=0)
    second = block([event(3, event_id="e-1"), event(4)], number=1)
    assert plane.write(first).rows == 2
    assert plane.write(second) == Written(rows=1, duplicates=1, refused=[])
    assert plane.count(DAY).rows == 3


def test_an_event_repeated_in_another_range_is_stored_once(plane: Plane) -> None:
    plane.write(block([event(1), event(2)]))
    again = block([event(11, event_id="e-2"), event(12, event_id="e-1")])
    assert plane.write(again) == Written(rows=0, duplicates=2, refused=[])
    assert plane.count(DAY) == DayCounts(rows=2, distinct_ids=2, first_seq=1, last_seq=2)


def test_a_retried_block_keeps_its_counts_after_later_duplicates(plane: Plane) -> None:
    first = block([event(1), event(2)])
    plane.write(first)
    plane.write(block([event(3, event_id="e-1")]))
    assert plane.write(first) == Written(rows=2, duplicates=0, refused=[])
    assert plane.count(DAY).rows == 2


def test_rows_of_one_message_are_distinct(plane: Plane) -> None:
    rows = [event(7, event_id=f"row-{row}", stream_row=row) for row in range(4)]
    rows.append(event(7, event_id="row-0", stream_row=4))
    assert plane.write(block(rows)) == Written(rows=4, duplicates=1, refused=[])
    assert plane.write(block(rows)) == Written(rows=4, duplicates=1, refused=[])


def test_the_same_id_on_another_day_is_another_event(plane: Plane) -> None:
    tomorrow = DAY + timedelta(days=1)
    today = event(1)
    plane.write(block([today]))
    later = event(2, event_id="e-1", stream_time=today["stream_time"] + timedelta(days=1))
    assert plane.write(replace(block([later]), day=tomorrow)).rows == 1
    assert [plane.count(day).rows for day in (DAY, tomorrow)] == [1, 1]


def test_a_replayed_event_that_a_rebuild_wrote_is_stored_once(plane: Plane) -> None:
    replacement = plane.replace(DAY)
    replacement.write(block([event(1), event(2)]))
    replacement.swap(entry(1, 2, state="committed", kind="partition", rows=2, messages=2))
    replayed = replace(block([event(2)]), token="replayed", replay=True)
    assert plane.write(replayed) == Written(rows=1, duplicates=0, refused=[])
    assert plane.count(DAY).rows == 2


def test_a_replayed_event_that_the_day_lacks_is_written(plane: Plane) -> None:
    replacement = plane.replace(DAY)
    replacement.write(block([event(1)]))
    replacement.swap(entry(1, 2, state="committed", kind="partition", rows=1, messages=2))
    replayed = replace(block([event(2)]), token="replayed", replay=True)
    assert plane.write(replayed).rows == 1
    assert plane.write(replayed).rows == 1
    assert plane.count(DAY).rows == 2
