"""A running stack with a server that hangs, a code server that is killed, and killed as a whole."""
# ruff: noqa: F811 [fixtures are imported, and are then parameters]

import time

import pytest
import requests
from stack_runs import (  # noqa: F401 - its fixtures
    JOBS,
    RUNS,
    SENSORS,
    TERMINATE,
    ask,
    caught_up,
    ended,
    error_of,
    eventually,
    kinds_of,
    launch,
    planes,
    planes_of,
    publish_events,
    rows_of,
    run_of,
    served,
    ticks_of,
)
from stacks import Stack, survivors, wait_until, whole

from fraiseql_assets.cli.status import collect_status
from fraiseql_assets.planes import Plane
from fraiseql_assets.settings import Settings

pytestmark = pytest.mark.timeout(600)


SERVERS = {"analytics_events": "clickhouse", "operational__events": "elasticsearch"}
SECONDS_TO_END = 20.0


def test_a_hanging_plane_blocks_neither_the_other_nor_its_sensor(
    stack: Stack, planes: list[Plane]
) -> None:
    served = stack.settings
    caught_up(served)
    before = rows_of(planes)
    clickhouse = stack.process_of("local_stack.clickhouse")
    clickhouse.suspend()
    try:
        publish_events(served, 500, "observer")
        eventually(lambda: rows_of(planes[1:]) == [before[1] + 500], served)
        sensor = "analytics_events_from_the_log"
        eventually(
            lambda: any("out of reach" in why for why in ticks_of(served, "skipReason")[sensor]),
            served,
        )
    finally:
        clickhouse.resume()
    caught_up(served)
    assert rows_of(planes) == [n + 500 for n in before]


def test_a_backfill_of_all_assets_materialises_one_plane_while_the_other_hangs(
    stack: Stack,
) -> None:
    served = stack.settings
    publish_events(served, 100, "observer")
    caught_up(served)
    eventually(lambda: not collect_status(served).runs, served)
    clickhouse = stack.process_of("local_stack.clickhouse")
    clickhouse.suspend()
    try:
        found = ended(served, launch(served, "__ASSET_JOB"))
    finally:
        clickhouse.resume()
    keys = [
        event["assetKey"]["path"]
        for event in found["eventConnection"]["events"]
        if event["__typename"] == "MaterializationEvent"
    ]
    assert ["operational", "events"] in keys, error_of(found)
    assert {plane for plane, _ in keys} == {"operational"}, error_of(found)
    assert found["status"] == "FAILURE"
    assert "ExecutionStepUpForRetryEvent" not in kinds_of(found)
    caught_up(served)


@pytest.mark.parametrize("op", JOBS)
def test_a_terminated_rebuild_ends_while_its_server_hangs_and_keeps_the_day(
    op: str, stack: Stack, planes: list[Plane]
) -> None:
    served = stack.settings
    publish_events(served, 1_000, "arrow")
    caught_up(served)
    # A run under way would hold the plane, and hang as well.
    eventually(lambda: not collect_status(served).runs, served)
    before = rows_of(planes)
    server = stack.process_of(f"local_stack.{SERVERS[op]}")
    server.suspend()
    try:
        run = launch(served, JOBS[op])
        eventually(lambda: "ExecutionStepStartEvent" in kinds_of(run_of(served, run)), served)
        terminated = time.monotonic()
        ask(served, TERMINATE, id=run)
        found = ended(served, run)
        assert time.monotonic() - terminated < SECONDS_TO_END
    finally:
        server.resume()
    assert found["status"] == "CANCELED", error_of(found)
    assert "ExecutionStepUpForRetryEvent" not in kinds_of(found)
    runs = ask(served, RUNS, job=JOBS[op])["runsOrError"]["results"]
    assert not [each for each in runs if each["rootRunId"] == run != each["runId"]]
    caught_up(served)
    assert rows_of(planes) == before


def test_no_sensor_tick_fails_while_a_server_hangs(served: Settings) -> None:
    """After the tests in which one hangs."""
    ticks = ticks_of(served, "status")
    assert set(ticks) >= {"analytics_events_from_the_log", "operational_events_from_the_log"}
    assert all(statuses <= {"SKIPPED", "SUCCESS", "STARTED"} for statuses in ticks.values()), ticks


def test_a_killed_code_server_is_restarted_without_orphans(stack: Stack) -> None:
    killed = stack.process_of("fraiseql_assets.defs.code_server")
    others = killed.children(recursive=True)
    killed.kill()

    wait_until(lambda: "code server was ended by SIGKILL" in stack.printed.read_text())
    wait_until(lambda: survivors(others) == [])
    moment = time.time()

    def skipped() -> bool:
        """Whether a sensor was evaluated since, as it is by a code server alone."""
        try:
            sensors = ask(stack.settings, SENSORS)["sensorsOrError"]["results"]
        except requests.HTTPError:
            # Dagster's web server asks the code server, which is not back yet.
            return False
        newest = [tick for sensor in sensors for tick in sensor["sensorState"]["ticks"]]
        return any(tick["timestamp"] > moment and tick["status"] == "SKIPPED" for tick in newest)

    wait_until(skipped, stack.printed)
    assert stack.process_of("fraiseql_assets.defs.code_server") != killed


def test_planes_are_exact_after_a_stack_killed_during_ingestion_restarts(stack: Stack) -> None:
    """The last test on the stack, since it kills it."""
    served = stack.settings
    caught_up(served)
    eventually(lambda: not collect_status(served).runs, served)
    with planes_of(served) as planes:
        before = rows_of(planes)
    publish_events(served, 8_000, "observer")
    eventually(lambda: bool(collect_status(served).runs), served)
    stack.kill()
    with whole(stack.folder) as second:
        status = caught_up(second.settings)
        with planes_of(second.settings) as planes:
            assert rows_of(planes) == [n + 8_000 for n in before]
            assert [plane.rows for plane in status.planes] == rows_of(planes)
