"""A log without old messages: days are rebuilt from the other plane, losses are reported."""

import asyncio
from collections.abc import Callable
from datetime import date

import pytest

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.pipeline.pending import next_pending, uncommitted
from fraiseql_assets.pipeline.rebuild import EventsWouldBeLost
from fraiseql_assets.pipeline.verify import verify_day
from fraiseql_assets.planes import Plane
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish, publish_generated

EVENTS = 60
Materialise = Callable[..., Report]


@pytest.fixture
def day(log: Log, settings: Settings) -> date:
    """The day of the log, which holds some events."""
    asyncio.run(publish_generated(settings, count=EVENTS, shape="observer", seed=1))
    place = log.position_from(1)
    assert place is not None
    return place.day


def forget(settings: Settings, upto: int) -> None:
    """Makes the log drop its messages up to a sequence, as its limits do."""

    async def purge() -> None:
        async with connect(settings, name="tests") as client:
            await client.jetstream().purge_stream(settings.stream, seq=upto + 1)

    asyncio.run(purge())


def rows(plane: Plane, day: date) -> tuple[int, int]:
    counts = plane.count(day)
    return counts.rows, counts.distinct_ids


def contents(plane: Plane, day: date) -> list[dict[str, object]]:
    return [row for batch in plane.events(day, 2**62) for row in batch.to_pylist()]


def test_a_wiped_plane_is_rebuilt_from_the_log(
    plane: Plane, log: Log, day: date, rebuild: Materialise
) -> None:
    report = rebuild(plane, day)
    assert (report.source, report.rows, rows(plane, day)) == ("log", EVENTS, (EVENTS, EVENTS))


def test_a_day_deleted_from_the_log_is_rebuilt_from_the_other_plane(
    plane: Plane,
    other: Plane,
    day: date,
    ingest: Materialise,
    rebuild: Materialise,
    settings: Settings,
) -> None:
    ingest(other)
    forget(settings, EVENTS)
    report = rebuild(plane, day)
    assert (report.source, report.rows) == (other.name, EVENTS)
    assert contents(plane, day) == contents(other, day)


def test_a_day_partly_deleted_from_the_log_is_rebuilt_from_log_and_plane(
    plane: Plane,
    other: Plane,
    log: Log,
    day: date,
    ingest: Materialise,
    rebuild: Materialise,
    settings: Settings,
) -> None:
    ingest(other, 1, 40)
    forget(settings, 25)
    report = rebuild(plane, day)
    assert report.source == f"{other.name}+log"
    assert rows(plane, day) == (EVENTS, EVENTS)


def test_a_day_rebuilt_from_the_other_plane_is_complete(
    plane: Plane,
    other: Plane,
    log: Log,
    day: date,
    ingest: Materialise,
    rebuild: Materialise,
    settings: Settings,
) -> None:
    ingest(other)
    forget(settings, 25)
    rebuild(plane, day)
    assert verify_day(plane, log, day).is_complete


def test_a_day_without_another_source_is_unchanged(
    plane: Plane, log: Log, day: date, ingest: Materialise, rebuild: Materialise, settings: Settings
) -> None:
    ingest(plane)
    forget(settings, 25)
    with pytest.raises(EventsWouldBeLost, match="neither the log nor"):
        rebuild(plane, day)
    assert rows(plane, day) == (EVENTS, EVENTS)


def test_a_loss_before_ingestion_is_reported_with_its_range(
    plane: Plane, log: Log, day: date, ingest: Materialise, settings: Settings
) -> None:
    ingest(plane, 1, 10)
    forget(settings, 25)
    entries = plane.ledger(log.stream)
    bounds = log.bounds()
    missing = uncommitted(bounds.first, bounds.last, entries)
    pending = next_pending(log, missing, entries, most=1_000)
    assert pending is not None
    assert pending.range == SequenceRange(11, EVENTS)
    ingest(plane, pending.range.first, pending.range.last)
    verdict = verify_day(plane, log, day)
    assert not verdict.no_gaps
    assert verdict.lost == (SequenceRange(11, EVENTS),)
    assert rows(plane, day) == (EVENTS - 15, EVENTS - 15)


def test_a_range_that_was_not_ingested_is_a_gap(
    plane: Plane, log: Log, day: date, ingest: Materialise
) -> None:
    ingest(plane, 1, 10)
    ingest(plane, 31, EVENTS)
    assert verify_day(plane, log, day).gaps == (SequenceRange(11, 30),)


def test_an_event_and_a_change_record_with_one_id_count_once(
    plane: Plane, log: Log, ingest: Materialise, settings: Settings
) -> None:
    observed = (
        b'{"id":"Order:7","event_type":"INSERT","entity_type":"Order","entity_id":"7",'
        b'"data":{"id":7},"timestamp":"2026-01-01T00:00:00Z"}'
    )
    captured = (
        b'{"op":"insert","object_type":"Order","object_id":"7","seq":7,"before":null,'
        b'"after":{"id":7},"commit_time":"2026-01-01T00:00:00Z"}'
    )

    async def tell() -> None:
        async with connect(settings, name="tests") as client:
            subject = f"{settings.subject_prefix}.Order.INSERT"
            await publish(client, [Outgoing(subject, body, {}) for body in (observed, captured)])

    asyncio.run(tell())
    ingest(plane)
    place = log.position_from(1)
    assert place is not None
    assert rows(plane, place.day) == (1, 1)
    [entry] = plane.ledger(log.stream)
    assert (entry.rows, entry.duplicates, entry.dead_letters) == (1, 1, 0)


def delete(settings: Settings, *sequences: int) -> None:
    """Deletes single messages in the middle of the log."""

    async def delete_them() -> None:
        async with connect(settings, name="tests") as client:
            for sequence in sequences:
                await client.jetstream().delete_msg(settings.stream, sequence)

    asyncio.run(delete_them())


def test_an_event_deleted_within_a_day_is_rebuilt_from_the_other_plane(
    plane: Plane,
    other: Plane,
    log: Log,
    day: date,
    ingest: Materialise,
    rebuild: Materialise,
    settings: Settings,
) -> None:
    ingest(plane)
    ingest(other)
    before = sorted(map(str, contents(plane, day)))
    delete(settings, 20, 21, 40)
    report = rebuild(plane, day)
    assert (report.rows, report.missing) == (EVENTS, 0)
    assert sorted(map(str, contents(plane, day))) == before
    assert verify_day(plane, log, day).is_complete


def test_a_rebuild_that_would_lose_an_event_is_refused(
    plane: Plane, log: Log, day: date, ingest: Materialise, rebuild: Materialise, settings: Settings
) -> None:
    ingest(plane)
    ledger = plane.ledger(log.stream)
    delete(settings, 30)
    with pytest.raises(EventsWouldBeLost, match="neither the log nor"):
        rebuild(plane, day)
    assert rows(plane, day) == (EVENTS, EVENTS)
    assert plane.ledger(log.stream) == ledger


def test_a_wiped_plane_is_rebuilt_from_a_log_with_deleted_messages(
    plane: Plane,
    other: Plane,
    day: date,
    ingest: Materialise,
    rebuild: Materialise,
    settings: Settings,
) -> None:
    ingest(other)
    delete(settings, 1, 30, EVENTS)
    assert rebuild(plane, day).rows == EVENTS
    assert rows(plane, day) == (EVENTS, EVENTS)
