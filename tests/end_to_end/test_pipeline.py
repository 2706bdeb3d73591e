"""A running stack moves events from the log into both planes: sensors, runs, backfills.

All tests share one stack, which takes half a minute to start, so the file is longer than others.
"""
# ruff: noqa: F811 [fixtures are imported, and are then parameters]

import asyncio
import json
import os
import secrets
import subprocess
import sysconfig
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight
from stack_runs import (  # noqa: F401 - its fixtures
    JOBS,
    RUNS,
    SECONDS_TO_CATCH_UP,
    TERMINATE,
    ask,
    caught_up,
    ended,
    error_of,
    eventually,
    kinds_of,
    launch,
    planes,
    publish_events,
    rows_of,
    served,
    ticks_of,
    today,
)
from stacks import Stack, wait_for_midnight

from fraiseql_assets.cli.status import collect_status
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.planes import Plane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish

CHECKS = """
query Checks($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetChecksOrError { ... on AssetChecks { checks {
      name executionForLatestMaterialization { status }
    } } }
  }
}
"""
EVALUATIONS = """
query Evaluations($asset: AssetKeyInput!, $check: String!) {
  assetCheckExecutions(assetKey: $asset, checkName: $check, limit: 100) {
    status evaluation { partition success }
  }
}
"""
ANALYTICS = ("events", "events_hourly", "org_daily", "event_type_stats")
LOG_CHECKS = [
    ([plane, "events"], check)
    for plane in ("analytics", "operational")
    for check in ("rows_match_log", "no_gaps", "no_duplicates")
]
AGGREGATE_CHECKS = [(["analytics", name], "equals_raw_rows") for name in ANALYTICS[1:]]


def act(served: Settings, name: str, **body: Any) -> list[dict[str, Any]]:
    """The results of an action of the Flight service."""
    with flight.connect(served.flight_url) as client:
        results = client.do_action(flight.Action(name, json.dumps(body).encode()))
        return [json.loads(result.body.to_pybytes()) for result in results]


def followed(launched: dict[str, Any], name: str) -> dict[str, Any]:
    """The body that follows what was launched to its end."""
    return {name: launched[name], "follow": True}


def publish_raw(served: Settings, *payloads: bytes) -> None:
    async def send() -> None:
        async with connect(served, name="test") as client:
            subject = f"{served.subject_prefix}.Order.INSERT"
            await publish(client, [Outgoing(subject, payload, {}) for payload in payloads])

    asyncio.run(send())


@pytest.mark.parametrize("shape", ["observer", "cdc", "arrow"])
def test_published_events_are_in_both_planes_once(
    shape: str, served: Settings, planes: list[Plane]
) -> None:
    caught_up(served)
    before = rows_of(planes)
    publish_events(served, 500, shape)
    caught_up(served)
    assert rows_of(planes) == [n + 500 for n in before]


def test_an_invalid_message_is_dead_lettered_and_its_neighbours_are_ingested(
    served: Settings, planes: list[Plane]
) -> None:
    caught_up(served)
    before = rows_of(planes)
    dead_letters = collect_status(served).log.dead_letters
    name = secrets.token_hex(8)
    good = [
        b'{"id":"%s-%d","event_type":"INSERT","entity_type":"Order","entity_id":"1","data":{},'
        b'"timestamp":"2026-01-01T00:00:00Z"}' % (name.encode(), number)
        for number in range(4)
    ]
    publish_raw(served, good[0], b"", good[1], b"\xff\xfe", good[2], b"[1]", good[3])
    status = caught_up(served)
    assert rows_of(planes) == [n + 4 for n in before]
    assert status.log.dead_letters == dead_letters + 3


def test_a_republished_event_counts_once_in_both_planes(
    served: Settings, planes: list[Plane]
) -> None:
    # It is published again after both planes have caught up.
    wait_for_midnight(timedelta(seconds=3 * SECONDS_TO_CATCH_UP))
    caught_up(served)
    before = rows_of(planes)
    event = (
        b'{"id":"%s","event_type":"INSERT","entity_type":"Order","entity_id":"1","data":{},'
        b'"timestamp":"2026-01-01T00:00:00Z"}' % secrets.token_hex(8).encode()
    )
    publish_raw(served, event, event)
    caught_up(served)
    publish_raw(served, event)
    caught_up(served)
    assert rows_of(planes) == [n + 1 for n in before]


def test_a_backfill_changes_no_count(served: Settings, planes: list[Plane]) -> None:
    publish_events(served, 1_000, "arrow")
    caught_up(served)
    before = rows_of(planes)
    days = {"start": f"{today() - timedelta(days=1)}", "end": f"{today()}"}
    launched = [
        act(served, "BackfillAsset", asset=asset, **days)
        for asset in ("analytics/events", "operational/events")
    ]
    ended = [act(served, "RunStatus", **followed(one[-1], "backfill_id"))[-1] for one in launched]
    assert [one["status"] for one in ended] == ["COMPLETED_SUCCESS"] * 2, ended
    assert [one["partitions"][0]["materialised"] for one in ended] == [2, 2]
    assert rows_of(planes) == before
    # The checks of a backfill are those of its partitions.
    for path, check in (*LOG_CHECKS, *AGGREGATE_CHECKS):
        evaluations = ask(served, EVALUATIONS, asset={"path": path}, check=check)
        passed = {
            execution["evaluation"]["partition"]
            for execution in evaluations["assetCheckExecutions"]
            if execution["evaluation"] and execution["evaluation"]["success"]
        }
        assert passed >= {f"{today() - timedelta(days=ago)}" for ago in range(2)}, (path, check)


def test_a_partition_is_materialised_over_flight(served: Settings, planes: list[Plane]) -> None:
    publish_events(served, 100, "observer")
    caught_up(served)
    day = f"{today()}"
    [launched] = act(served, "MaterializeAsset", asset="operational/events", partition=day)
    states = act(served, "RunStatus", **followed(launched, "run_id"))
    assert states[-1]["status"] == "SUCCESS", states
    [materialised] = states[-1]["materialised"]
    assert materialised["asset"] == "operational/events"
    assert materialised["rows"] == planes[1].count(today()).rows


def test_an_aggregate_can_be_materialised_by_itself(served: Settings) -> None:
    day = f"{today() - timedelta(days=1)}"
    [launched] = act(served, "MaterializeAsset", asset="analytics/org_daily", partition=day)
    state = act(served, "RunStatus", **followed(launched, "run_id"))[-1]
    assert (state["status"], state["assets"]) == ("SUCCESS", ["analytics/org_daily"]), state


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("MaterializeAsset", {"partition": "1999-01-01"}, "has no partition '1999-01-01'"),
        ("BackfillAsset", {"start": "1999-01-01", "end": "1999-01-02"}, "from '1999-01-01' to"),
    ],
)
def test_an_unknown_partition_is_refused_with_the_valid_ones(
    name: str, body: dict[str, str], said: str, served: Settings
) -> None:
    with pytest.raises(pa.ArrowKeyError, match=said) as caught:
        act(served, name, asset="analytics/events", **body)
    assert f"Its partitions are the days from {today() - timedelta(days=7)} to" in str(caught.value)


@pytest.mark.parametrize("kind", ["run_id", "backfill_id"])
def test_an_unknown_run_is_not_found(kind: str, served: Settings) -> None:
    with pytest.raises(pa.ArrowKeyError, match=r"There is no (run|backfill) 'nothing'"):
        act(served, "RunStatus", **{kind: "nothing"})


def test_the_checks_of_an_up_to_date_partition_pass(served: Settings) -> None:
    publish_events(served, 100, "observer")
    caught_up(served)
    for job in ("check_analytics_events", "check_operational_events"):
        launch(served, job)
    keys = [{"path": ["analytics", name]} for name in ANALYTICS]
    keys.append({"path": ["operational", "events"]})

    def results() -> dict[str, str]:
        return {
            check["name"]: (check["executionForLatestMaterialization"] or {}).get("status", "")
            for node in ask(served, CHECKS, keys=keys)["assetNodes"]
            for check in node["assetChecksOrError"]["checks"]
        }

    eventually(lambda: set(results().values()) == {"SUCCEEDED"}, served)
    assert sorted(results()) == [
        "equals_raw_rows", "no_duplicates", "no_gaps", "rows_match_log"
    ]  # fmt: skip


def test_no_sensor_tick_fails(served: Settings) -> None:
    ticks = ticks_of(served, "status")
    assert set(ticks) >= {"analytics_events_from_the_log", "operational_events_from_the_log"}
    assert all(statuses <= {"SKIPPED", "SUCCESS", "STARTED"} for statuses in ticks.values()), ticks


def test_status_shows_the_rows_of_each_plane(served: Settings, planes: list[Plane]) -> None:
    status = caught_up(served)
    assert [plane.rows for plane in status.planes] == rows_of(planes)


def test_every_message_of_the_log_is_accounted_for(served: Settings, planes: list[Plane]) -> None:
    caught_up(served)
    with Log(served, name="test") as log:
        bounds = log.bounds()
    for plane in planes:
        entries = plane.ledger(served.stream)
        assert sum(entry.messages for entry in entries) == bounds.messages


@pytest.mark.parametrize(
    ("op", "text", "said"),
    [
        ("analytics_events", "foo", "not a sequence range"),
        ("operational__events", "900000000-900000009", "the log ends at sequence"),
    ],
)
def test_an_invalid_range_fails_at_once_and_does_not_change_the_ledger(
    op: str, text: str, said: str, served: Settings, planes: list[Plane]
) -> None:
    caught_up(served)
    config = {"ops": {op: {"config": {"range": text}}}}
    run = ended(served, launch(served, JOBS[op], config=config))
    assert run["status"] == "FAILURE"
    assert said in error_of(run)
    assert "ExecutionStepUpForRetryEvent" not in kinds_of(run)
    [state] = act(served, "RunStatus", run_id=run["runId"])
    assert said in state["error"]
    caught_up(served)


@pytest.mark.parametrize("job", JOBS.values())
def test_a_terminated_run_ends_and_is_not_retried(job: str, served: Settings) -> None:
    caught_up(served)
    publish_events(served, 100, "observer")

    def live() -> list[str]:
        runs = ask(served, RUNS, job=job)["runsOrError"]["results"]
        return [run["runId"] for run in runs if run["status"] == "STARTED"]

    eventually(lambda: bool(live()), served)
    [run] = live()
    ask(served, TERMINATE, id=run)
    found = ended(served, run)
    assert found["status"] in ("CANCELED", "SUCCESS")
    assert "ExecutionStepUpForRetryEvent" not in kinds_of(found)
    publish_events(served, 100, "observer")
    caught_up(served)


@pytest.mark.parametrize("job", JOBS.values())
def test_a_following_run_ends_for_a_waiting_one(job: str, served: Settings) -> None:
    publish_events(served, 100, "observer")
    caught_up(served)
    publish_events(served, 100, "observer")
    rebuild = launch(served, job)
    assert ended(served, rebuild)["status"] == "SUCCESS"
    caught_up(served)


def test_an_observation_of_a_complete_day_keeps_its_materialisation(served: Settings) -> None:
    publish_events(served, 100, "observer")
    caught_up(served)
    config = {"ops": {"operational__events": {"config": {"only_if_broken": True}}}}
    run = ended(served, launch(served, "verify_operational_events", config=config))
    assert run["status"] == "SUCCESS"
    assert "ObservationEvent" in kinds_of(run)
    assert "MaterializationEvent" not in kinds_of(run)


def test_one_asset_is_materialised_from_a_shell(stack: Stack) -> None:
    served = stack.settings
    publish_events(served, 100, "observer")
    caught_up(served)
    dagster = Path(sysconfig.get_path("scripts")) / "dagster"
    addresses = (stack.folder / "endpoints.env").read_text().splitlines()
    done = subprocess.run(
        [
            *(dagster, "asset", "materialize", "--select", "analytics/events"),
            *("--partition", f"{today()}", "-m", "fraiseql_assets.defs.definitions"),
        ],
        env={
            **os.environ,
            **dict(line.split("=", 1) for line in addresses),
            "DAGSTER_HOME": f"{stack.folder / 'dagster'}",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_CATCH_UP,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    materialised = [line for line in done.stderr.splitlines() if "ASSET_MATERIALIZATION -" in line]
    assert len(materialised) == 1, done.stderr
    assert "analytics events" in materialised[0]
    caught_up(served)


def test_a_trickle_of_messages_needs_few_runs(served: Settings) -> None:
    caught_up(served)
    job = JOBS["analytics_events"]
    before = len(ask(served, RUNS, job=job)["runsOrError"]["results"])
    for _ in range(10):
        publish_events(served, 10, "observer")
        caught_up(served)
    after = len(ask(served, RUNS, job=job)["runsOrError"]["results"])
    assert after - before <= 2
