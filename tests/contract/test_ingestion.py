"""Ingestion from a real log into a plane is exact, whatever fails in between."""

import asyncio
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from failing_steps import StepFailed, StepFailure

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.planes import Block, Plane, PlaneError, Written
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish, publish_generated

EVENTS = 250
"""Three blocks."""
RANGE_STEPS = 5
"""begun, three blocks, committed"""
REBUILD_STEPS = 6
"""replace, three blocks, begun, swap"""

Materialise = Callable[..., Report]


@pytest.fixture
def filled(log: Log, settings: Settings) -> Log:
    """The log with some events in it."""
    asyncio.run(publish_generated(settings, count=EVENTS, shape="observer", seed=1))
    return log


def tell(settings: Settings, *payloads: bytes) -> None:
    """Publishes messages as they are."""

    async def publish_them() -> None:
        async with connect(settings, name="tests") as client:
            subject = f"{settings.subject_prefix}.Order.INSERT"
            await publish(client, [Outgoing(subject, payload, {}) for payload in payloads])

    asyncio.run(publish_them())


def held(plane: Plane, log: Log) -> tuple[int, int]:
    place = log.position_from(1)
    assert place is not None
    counts = plane.count(place.day)
    return counts.rows, counts.distinct_ids


def test_a_range_is_written_completely_and_committed(
    plane: Plane, filled: Log, ingest: Materialise
) -> None:
    report = ingest(plane)
    assert (report.messages, report.rows, report.blocks) == (EVENTS, EVENTS, 3)
    assert held(plane, filled) == (EVENTS, EVENTS)
    [entry] = plane.ledger(filled.stream)
    assert (entry.state, entry.kind, entry.rows, entry.messages) == (
        "committed", "range", EVENTS, EVENTS,
    )  # fmt: skip


def test_a_committed_range_is_not_written_again(
    plane: Plane, filled: Log, ingest: Materialise
) -> None:
    ingest(plane)
    before = plane.ledger(filled.stream)
    assert ingest(plane).already_committed
    assert plane.ledger(filled.stream) == before


def test_consecutive_ranges_add_up(plane: Plane, filled: Log, ingest: Materialise) -> None:
    for first, last in ((1, 80), (81, 81), (82, EVENTS)):
        ingest(plane, first, last)
    assert held(plane, filled) == (EVENTS, EVENTS)
    assert sum(entry.rows for entry in plane.ledger(filled.stream)) == EVENTS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, RANGE_STEPS + 1))
def test_a_range_that_failed_at_any_step_is_exact_after_a_retry(
    plane: Plane, filled: Log, ingest: Materialise, step: int, after: bool
) -> None:
    with pytest.raises(StepFailed):
        ingest(StepFailure(step, after=after).on(plane))
    report = ingest(plane)
    assert held(plane, filled) == (EVENTS, EVENTS)
    [entry] = plane.ledger(filled.stream)
    assert (entry.state, entry.rows, entry.duplicates) == ("committed", EVENTS, 0)
    assert report.already_committed or report.rows == EVENTS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, REBUILD_STEPS + 1))
def test_a_rebuild_that_failed_at_any_step_is_exact_after_a_retry(
    plane: Plane,
    filled: Log,
    ingest: Materialise,
    rebuild: Materialise,
    step: int,
    after: bool,
) -> None:
    ingest(plane, 1, 120)
    with pytest.raises(StepFailed):
        rebuild(StepFailure(step, after=after).on(plane))
    assert held(plane, filled) in [(120, 120), (EVENTS, EVENTS)]
    rebuild(plane)
    assert held(plane, filled) == (EVENTS, EVENTS)
    [entry] = plane.ledger(filled.stream)
    assert (entry.state, entry.kind, entry.rows) == ("committed", "partition", EVENTS)


def test_every_step_is_interrupted_by_the_tests(
    plane: Plane, filled: Log, ingest: Materialise, rebuild: Materialise
) -> None:
    def steps(materialise: Callable[[Any], Report]) -> int:
        """How many steps it takes: the one after the last is never has_failed."""
        for number in count(1):
            failure = StepFailure(number, after=True)
            try:
                materialise(failure.on(plane))
            except StepFailed:
                continue
            return number - 1
        raise AssertionError

    failure = StepFailure(10**6, after=True)
    ingest(failure.on(plane))
    assert 10**6 - failure.left == RANGE_STEPS
    assert steps(rebuild) == REBUILD_STEPS


class Interrupted:
    """A plane to which something else is done once the first block of a range is written."""

    def __init__(self, plane: Plane, meanwhile: Callable[[], object]) -> None:
        self._plane, self._meanwhile = plane, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plane, name)

    def write(self, block: Block) -> Written:
        written = self._plane.write(block)
        if block.number == 0:
            self._meanwhile()
        return written

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        yield from map(self.write, blocks)


@pytest.mark.parametrize("with_the_range", [True, False])
def test_a_range_written_during_a_replacement_of_its_day_is_complete(
    plane: Plane,
    filled: Log,
    ingest: Materialise,
    rebuild: Materialise,
    settings: Settings,
    with_the_range: bool,
) -> None:
    ingest(plane)
    asyncio.run(publish_generated(settings, count=EVENTS, shape="observer", seed=2))

    def replace_without_the_range() -> None:
        [held_before] = [e for e in plane.ledger(filled.stream) if e.state == "committed"]
        events = pa.Table.from_batches(plane.events(held_before.day, EVENTS))
        replacement = plane.replace(held_before.day)
        replacement.write(
            Block(events, filled.stream, held_before.range, held_before.day, 0, "again")
        )
        replacement.swap(replace(held_before, kind="partition"))

    meanwhile = partial(rebuild, plane) if with_the_range else replace_without_the_range
    with pytest.raises(PlaneError, match="again"):
        ingest(Interrupted(plane, meanwhile), EVENTS + 1)
    report = ingest(plane, EVENTS + 1)
    assert report.already_committed == with_the_range
    assert held(plane, filled) == (2 * EVENTS, 2 * EVENTS)
    assert sum(entry.rows for entry in plane.ledger(filled.stream)) == 2 * EVENTS


def test_an_invalid_message_is_dead_lettered_once_and_its_neighbours_written(
    plane: Plane, log: Log, ingest: Materialise, rebuild: Materialise, settings: Settings
) -> None:
    good = (
        b'{"id":"%d","event_type":"INSERT","entity_type":"Order","entity_id":"1",'
        b'"data":{},"timestamp":"2026-01-01T00:00:00Z"}'
    )
    tell(settings, good % 1, b"", b"not JSON", good % 2, b"[]", b'{"id":"3"}', good % 4)
    with pytest.raises(StepFailed):
        ingest(StepFailure(2, after=True).on(plane))
    report = ingest(plane)
    assert (report.rows, report.dead_letters) == (3, 4)
    rebuild(plane)
    assert held(plane, log) == (3, 3)
    assert log.bounds_of(settings.dead_letter_stream).messages == 4
    [entry] = plane.ledger(log.stream)
    assert (entry.rows, entry.dead_letters) == (3, 4)


def test_a_republished_event_is_stored_once_and_counted_as_a_duplicate(
    plane: Plane, log: Log, ingest: Materialise, settings: Settings
) -> None:
    observed = (
        b'{"id":"Order:%d","event_type":"INSERT","entity_type":"Order","entity_id":"1",'
        b'"data":{},"timestamp":"2026-01-01T00:00:00Z"}'
    )
    captured = (
        b'{"seq":%d,"object_type":"Order","op":"insert","object_id":"1","after":{},'
        b'"commit_time":"2026-01-01T00:00:00Z"}'
    )
    tell(settings, observed % 1, observed % 1, observed % 2)
    ingest(plane)
    tell(settings, captured % 1, captured % 3, observed % 3, observed % 2)
    report = ingest(plane, 4)
    assert (report.rows, report.duplicates) == (1, 3)
    assert held(plane, log) == (3, 3)
