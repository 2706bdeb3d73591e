"""What tests ask a running stack for: its log, its planes, and the runs of its Dagster."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from stacks import Stack

from fraiseql_assets.cli.status import Overview, collect_status
from fraiseql_assets.pipeline.pending import uncommitted
from fraiseql_assets.planes import Plane, PlaneError
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_planes
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated

SECONDS_TO_CATCH_UP = 120
SENSORS = """
query Sensors {
  sensorsOrError(repositorySelector: {
    repositoryName: "__repository__", repositoryLocationName: "fraiseql_assets.defs.definitions"
  }) { ... on Sensors {
    results { name sensorState { status ticks(limit: 20) { timestamp status skipReason } } }
  } }
}
"""
LAUNCH = """
mutation Launch($job: String!, $tags: [ExecutionTag!]!, $config: RunConfigData!) {
  launchRun(executionParams: {
    selector: {
      repositoryName: "__repository__"
      repositoryLocationName: "fraiseql_assets.defs.definitions"
      jobName: $job
    }
    runConfigData: $config
    executionMetadata: {tags: $tags}
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
RUN = """
query Run($id: ID!) {
  runOrError(runId: $id) { ... on Run {
    runId
    status
    eventConnection { events {
      __typename
      ... on MessageEvent { message }
      ... on MaterializationEvent { assetKey { path } }
      ... on ExecutionStepFailureEvent { error { message } }
    } }
  } }
}
"""
STATUS = """
query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }
"""
RUNS = """
query Runs($job: String!) {
  runsOrError(filter: {pipelineName: $job}) {
    ... on Runs { results { runId status rootRunId tags { key value } } }
  }
}
"""
TERMINATE = """
mutation Terminate($id: String!) { terminateRun(runId: $id) { __typename } }
"""
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
JOBS = {
    "analytics_events": "materialise_analytics_events",
    "operational__events": "materialise_operational_events",
}


@contextmanager
def planes_of(served: Settings) -> Iterator[list[Plane]]:
    """The stack's planes, for the length of the block."""
    planes = list(open_planes(served))
    try:
        yield planes
    finally:
        for plane in planes:
            plane.close()


@pytest.fixture(scope="module")
def served(stack: Stack) -> Settings:
    """The settings of the session's stack."""
    return stack.settings


@pytest.fixture(scope="module")
def planes(served: Settings) -> Iterator[list[Plane]]:
    """The planes of the session's stack."""
    with planes_of(served) as planes:
        yield planes


def today() -> Any:
    return datetime.now(UTC).date()


def rows_of(planes: list[Plane]) -> list[int]:
    """What each plane holds, over a midnight that passes meanwhile."""
    days = (today() - timedelta(days=1), today())
    return [sum(plane.count(day).rows for day in days) for plane in planes]


def eventually(holds: Callable[[], bool], served: Settings) -> None:
    deadline = time.monotonic() + SECONDS_TO_CATCH_UP
    while not holds():
        assert time.monotonic() < deadline, collect_status(served)
        time.sleep(0.5)


def caught_up(served: Settings) -> Overview:
    """The status once both planes hold all that the log does."""
    with Log(served, name="tests") as log, planes_of(served) as planes:

        def is_held() -> bool:
            # The ledgers, since a whole status takes many times as long as these.
            with suppress(LogError, PlaneError):
                bounds = log.bounds()
                ledgers = (plane.ledger(served.stream) for plane in planes)
                return not any(uncommitted(bounds.first, bounds.last, each) for each in ledgers)
            return False

        eventually(is_held, served)
    found: list[Overview] = []

    def is_there() -> bool:
        found[:] = [collect_status(served)]
        [status] = found
        return all(p.behind == 0 and not p.begun and not p.error for p in status.planes)

    eventually(is_there, served)
    return found[0]


def ask(served: Settings, query: str, **variables: Any) -> dict[str, Any]:
    """The data that Dagster answers.

    Raises:
        requests.HTTPError: its web server cannot answer now.
    """
    body = {"query": query, "variables": variables}
    response = requests.post(f"{served.dagster_url}/graphql", json=body, timeout=30)
    response.raise_for_status()
    answer = response.json()
    assert "errors" not in answer, answer
    return answer["data"]


def publish_events(served: Settings, count: int, shape: str) -> None:
    asyncio.run(publish_generated(served, count=count, shape=shape))


def launch(served: Settings, job: str, *, day: Any = None, config: Any = None) -> str:
    """Launches a run of a job over a partition. Returns its id."""
    tags = [{"key": "dagster/partition", "value": f"{day or today()}"}]
    launched = ask(served, LAUNCH, job=job, tags=tags, config=config or {})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return launched["run"]["runId"]


def ticks_of(served: Settings, said: str) -> dict[str, set[str]]:
    """Per sensor what `said`, a field of a tick, was in its last ticks."""
    sensors = ask(served, SENSORS)["sensorsOrError"]["results"]
    return {
        sensor["name"]: {tick[said] or "" for tick in sensor["sensorState"]["ticks"]}
        for sensor in sensors
    }


def run_of(served: Settings, run: str) -> dict[str, Any]:
    return ask(served, RUN, id=run)["runOrError"]


def ended(served: Settings, run: str) -> dict[str, Any]:
    """The run, once it has ended."""
    eventually(lambda: ask(served, STATUS, id=run)["runOrError"]["status"] in ENDED, served)
    return run_of(served, run)


def kinds_of(run: dict[str, Any]) -> list[str]:
    return [event["__typename"] for event in run["eventConnection"]["events"]]


def error_of(run: dict[str, Any]) -> str:
    events = run["eventConnection"]["events"]
    errors = [event["error"]["message"] for event in events if event.get("error")]
    return "\n".join([*errors, *(event.get("message") or "" for event in events)])
