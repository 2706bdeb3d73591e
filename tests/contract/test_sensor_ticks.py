"""A tick of an events sensor, on both planes: what it requests, and why it requests nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.test_utils import create_run_for_test

from fraiseql_assets.catalogue import ANALYTICS_EVENTS, OPERATIONAL_EVENTS
from fraiseql_assets.cli.status import PlaneStatus, collect_status
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.planes import Plane
from fraiseql_assets.resources import RESOURCES
from fraiseql_assets.runs import FOLLOW_TAG, PLANE_TAG, PRIORITY_TAG, STREAM_TAG
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated
from sensors.ingestion import events_sensor

EVENTS = 60
ASSETS = {asset.plane: asset for asset in (ANALYTICS_EVENTS, OPERATIONAL_EVENTS)}
FOREIGN_RUN = "7e99ce6d-d555-4c41-a3b4-4b07d7e76b56"

Materialise = Callable[..., Report]
Tick = Callable[..., dg.RunRequest | str]


@pytest.fixture
def tick(plane: Plane, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Tick:
    """A function that evaluates the plane's sensor. It returns the request or the reason.

    If it gets tags, a run with these tags has worked for longer than a run should.
    """
    hasty = settings.model_copy(update={"run_seconds": 0.0})
    monkeypatch.setattr("fraiseql_assets.resources.get_settings", lambda: hasty)
    sensor = events_sensor(
        ASSETS[plane.name],
        "op",
        "job",
        lambda _: plane,
        first_day=datetime.now(UTC).date() - timedelta(days=2),
        status=dg.DefaultSensorStatus.STOPPED,
    )

    def evaluate(**tags: str) -> dg.RunRequest | str:
        with dg.DagsterInstance.ephemeral() as instance:
            if tags:
                start_run(instance, tags)
            found = sensor(dg.build_sensor_context(instance=instance, resources=RESOURCES))
        if isinstance(found, dg.SensorResult) and found.run_requests:
            return found.run_requests[0]
        assert isinstance(found, dg.SkipReason)
        return found.skip_message or ""

    return evaluate


def start_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTING, tags=tags)
    started = DagsterEvent(DagsterEventType.RUN_START.value, run.job_name)
    instance.report_dagster_event(started, run_id=run.run_id)


@pytest.fixture
def day(log: Log, settings: Settings) -> date:
    """The day of the log, which holds some events."""
    asyncio.run(publish_generated(settings, count=EVENTS, shape="observer", seed=1))
    position = log.position_from(1)
    assert position is not None
    return position.day


def purge(settings: Settings) -> None:
    async def purge() -> None:
        async with connect(settings, name="tests") as client:
            await client.jetstream().purge_stream(settings.stream)

    asyncio.run(purge())


def status_of(plane: Plane, settings: Settings) -> PlaneStatus:
    [found] = [each for each in collect_status(settings).planes if each.plane == plane.name]
    return found


def test_the_oldest_range_is_requested_with_a_lower_priority_than_a_run_by_hand(
    tick: Tick, day: date, plane: Plane
) -> None:
    request = tick()
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == f"{day}"
    assert request.tags[PLANE_TAG] == plane.name
    assert request.run_key == f"{plane.name}:{request.tags['fraiseql/stream']}:1-{EVENTS}:1"
    # A run without the tag, as the launchpad makes it, has priority 0.
    assert int(request.tags[PRIORITY_TAG]) < 0


def test_a_plane_with_the_whole_log_is_up_to_date(
    tick: Tick, day: date, plane: Plane, ingest: Materialise, settings: Settings
) -> None:
    ingest(plane)
    assert "Up with the log" in str(tick())
    found = status_of(plane, settings)
    assert (found.position, found.behind, found.lost) == (EVENTS, 0, None)


def test_sensor_and_status_report_a_loss_in_the_same_words(
    tick: Tick, day: date, plane: Plane, ingest: Materialise, settings: Settings
) -> None:
    ingest(plane, 1, 10)
    purge(settings)
    reason = tick()
    assert f"has dropped 11-{EVENTS} before the {plane.name} plane read it" in str(reason)
    found = status_of(plane, settings)
    assert (found.lost, found.behind) == (reason, 0)


def test_the_loss_is_recorded_with_the_next_message(
    tick: Tick, day: date, plane: Plane, ingest: Materialise, settings: Settings
) -> None:
    ingest(plane, 1, 10)
    purge(settings)
    asyncio.run(publish_generated(settings, count=5, shape="observer", seed=2))
    assert status_of(plane, settings).behind == EVENTS - 10 + 5
    request = tick()
    assert isinstance(request, dg.RunRequest)
    assert request.tags["fraiseql/range"] == f"11-{EVENTS + 5}"


def test_a_second_instance_that_feeds_the_plane_is_reported(
    tick: Tick, day: date, plane: Plane, ingest: Materialise, settings: Settings
) -> None:
    ingest(plane)
    assert "a second one feeds the same plane" not in str(tick())
    [entry] = plane.ledger(settings.stream)
    plane.record(replace(entry, run_id=FOREIGN_RUN, at=datetime.now(UTC)))
    assert f"Run {FOREIGN_RUN[:8]}" in str(tick())
    assert "a second one feeds the same plane" in str(tick())


def test_a_run_at_its_maximum_time_gets_a_successor(
    tick: Tick, day: date, plane: Plane, settings: Settings
) -> None:
    own = {PLANE_TAG: plane.name, STREAM_TAG: settings.stream}
    request = tick(**own, **{FOLLOW_TAG: "true"})
    assert isinstance(request, dg.RunRequest)
    assert (request.run_key or "").startswith(f"{plane.name}:{settings.stream}:after:")
    assert request.run_config["ops"]["op"]["config"]["keep_going"]
    assert FOLLOW_TAG in request.tags


def test_a_run_that_rebuilds_gets_no_successor(
    tick: Tick, day: date, plane: Plane, settings: Settings
) -> None:
    reason = tick(**{PLANE_TAG: plane.name, STREAM_TAG: settings.stream})
    assert "A run is under way" in str(reason)


def test_a_run_started_by_hand_comes_first(tick: Tick, day: date, plane: Plane) -> None:
    assert "comes first" in str(tick(**{PLANE_TAG: plane.name}))
