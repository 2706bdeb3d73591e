"""A long-running ingest: range after range, one ledger entry at its end, stoppable at any time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from conftest import JOB

from fraiseql_assets.pipeline.follow import Followed, Limits, follow
from fraiseql_assets.pipeline.job import IngestError, Report
from fraiseql_assets.planes import Plane
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated

EVENTS = 120
ALL = SequenceRange(1, EVENTS)
QUIET = Limits(seconds=600.0, quiet_seconds=1.0, range_messages=50)
Run = Callable[..., Followed]


class Stopped(Exception):
    """The run is to stop."""


@pytest.fixture
def day(log: Log, settings: Settings) -> date:
    """The day of the log, which holds some events."""
    publish(settings, EVENTS, seed=1)
    position = log.position_from(1)
    assert position is not None
    return position.day


def publish(settings: Settings, count: int, *, seed: int) -> None:
    asyncio.run(publish_generated(settings, count=count, shape="observer", seed=seed))


@pytest.fixture
def run(plane: Plane, log: Log, day: date) -> Run:
    """Follows the log from its first message."""

    def run_it(
        *,
        first: SequenceRange | None = ALL,
        limits: Limits = QUIET,
        reason: Callable[[], str | None] = lambda: None,
        progress: Callable[[Report], None] = lambda _: None,
        checkpoint: Callable[[], None] = lambda: None,
        of: date = day,
    ) -> Followed:
        job = replace(JOB, checkpoint=checkpoint)
        return follow(
            plane, log, of, job, limits, first=first, reason_to_end=reason, progress=progress
        )

    return run_it


def test_a_run_ingests_all_events_and_ends_when_the_log_is_quiet(
    plane: Plane, log: Log, day: date, run: Run
) -> None:
    followed = run()
    assert (followed.report.rows, followed.count) == (EVENTS, 3)
    assert followed.ranges == (SequenceRange(1, EVENTS),)
    assert "quiet" in followed.ended
    assert plane.count(day).rows == EVENTS


def test_a_run_without_a_range_ingests_what_the_plane_lacks(
    plane: Plane, day: date, run: Run, settings: Settings
) -> None:
    run()
    publish(settings, 30, seed=2)
    followed = run(first=None)
    assert followed.ranges == (SequenceRange(EVENTS + 1, EVENTS + 30),)
    assert plane.count(day).rows == EVENTS + 30
    nothing = run(first=None)
    assert (nothing.report.range, nothing.ranges, nothing.count) == (None, (), 0)


def test_the_ranges_of_a_run_become_one_ledger_entry(plane: Plane, log: Log, run: Run) -> None:
    run()
    [entry] = plane.ledger(log.stream)
    assert (entry.state, entry.kind, entry.range) == (
        "committed",
        "range",
        SequenceRange(1, EVENTS),
    )
    assert (entry.rows, entry.messages) == (EVENTS, EVENTS)


def test_a_run_ingests_events_published_meanwhile(
    plane: Plane, day: date, run: Run, settings: Settings
) -> None:
    seen: list[Report] = []

    def publish_more(report: Report) -> None:
        seen.append(report)
        if len(seen) == 3:
            publish(settings, 30, seed=2)

    followed = run(progress=publish_more)
    assert followed.report.rows == plane.count(day).rows == EVENTS + 30


def test_a_run_ends_between_ranges_for_a_waiting_run(plane: Plane, log: Log, run: Run) -> None:
    followed = run(reason=lambda: "another run waits")
    assert (followed.count, followed.ended) == (1, "another run waits")
    assert [entry.state for entry in plane.ledger(log.stream)] == ["committed"]


def test_a_run_ends_after_its_maximum_time(run: Run) -> None:
    followed = run(limits=replace(QUIET, seconds=0.0001))
    assert followed.count == 1
    assert "it has run for" in followed.ended


def test_a_run_stopped_before_a_block_leaves_its_range_to_the_next(
    plane: Plane, log: Log, day: date, run: Run
) -> None:
    calls: list[None] = []

    def stop() -> None:
        calls.append(None)
        if len(calls) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        run(checkpoint=stop)
    begun = [entry.range for entry in plane.ledger(log.stream) if entry.state == "begun"]
    assert len(begun) == 1
    assert run(first=begun[0]).report.rows == EVENTS - begun[0].first + 1
    assert plane.count(day).rows == EVENTS


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (SequenceRange(1, EVENTS + 1), "the log ends at sequence"),
        (SequenceRange(10**6, 10**6), "the log ends at sequence"),
    ],
)
def test_a_range_outside_the_log_is_refused(
    plane: Plane, log: Log, run: Run, first: SequenceRange, said: str
) -> None:
    with pytest.raises(IngestError, match=said):
        run(first=first)
    assert plane.ledger(log.stream) == []


def test_a_range_of_another_day_is_refused(plane: Plane, log: Log, day: date, run: Run) -> None:
    with pytest.raises(IngestError, match="is not of this partition"):
        run(of=day - timedelta(days=1))
    assert plane.ledger(log.stream) == []
