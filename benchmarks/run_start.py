"""Where the time goes between an event and its rows, on a running local stack.

Run `python benchmarks/run_start.py [ROUNDS]` in the working directory of `fraiseql-assets dev`
without `--demo`. Each round publishes events to an idle log and reads the times of the resulting
run from Dagster's event log.
"""

import asyncio
import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from fraiseql_assets.settings import Settings, get_settings
from fraiseql_assets.stream.publish import publish_generated

EVENTS = 100
ROUNDS = 7
SECONDS = 120
JOBS = ("materialise_analytics_events", "materialise_operational_events")

QUERY = """
query ($job: String!, $after: Float!) {
  runsOrError(filter: {pipelineName: $job, createdAfter: $after}) {
    ... on Runs {
      results {
        creationTime
        endTime
        eventConnection(limit: 1000) {
          events { ... on MessageEvent { timestamp eventType message } }
        }
      }
    }
  }
}
"""

STAGES = {
    "until a tick requests a run": "created",
    "until the run is recorded": "RUN_ENQUEUED",
    "in the queue": "RUN_STARTING",
    "until its process executes": "RUN_START",
    "until its step begins": "STEP_START",
    "until its rows are committed": "written",
    "until it has been checked and ends": "RUN_SUCCESS",
}


def main(rounds: int) -> None:
    settings = get_settings()
    taken = {job: [one_round(settings, job) for _ in range(rounds)] for job in JOBS}
    table = Table("seconds, median", *JOBS)
    for stage in (*STAGES, "total"):
        medians = (statistics.median(times[stage] for times in taken[job]) for job in JOBS)
        table.add_row(stage, *(f"{median:.2f}" for median in medians))
    Console().print(table)


def one_round(settings: Settings, job: str) -> dict[str, float]:
    """Publishes events. Returns the seconds of each stage of the run."""
    began = time.time()
    asyncio.run(
        publish_generated(
            settings,
            count=EVENTS,
            shape="observer",
            rate=None,
            seed=None,
            on_progress=lambda _: None,
        )
    )
    moments = {"published": time.time()} | ended_run(settings, job, began)
    order = ["published", *STAGES.values()]
    times = {
        stage: moments[end] - moments[start]
        for stage, (start, end) in zip(STAGES, pairwise(order), strict=True)
    }
    return times | {"total": moments[order[-1]] - moments[order[0]]}


def ended_run(settings: Settings, job: str, after: float) -> dict[str, float]:
    """Waits until no run is in progress. Returns the times of the job's first run after `after`."""
    deadline = time.time() + SECONDS
    while time.time() < deadline:
        time.sleep(1)
        runs = [run for name in JOBS for run in runs_of(settings, name, after)]
        first = min(
            runs_of(settings, job, after), key=lambda run: run["creationTime"], default=None
        )
        if first and all(run["endTime"] for run in runs):
            return moments_of(first)
    raise SystemExit(f"No run of {job} has ended within {SECONDS} s.")


def runs_of(settings: Settings, job: str, after: float) -> list[dict[str, Any]]:
    answer = requests.post(
        f"{settings.dagster_url}/graphql",
        json={"query": QUERY, "variables": {"job": job, "after": after}},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()["data"]["runsOrError"]["results"]


def moments_of(run: dict[str, Any]) -> dict[str, float]:
    moments = {"created": float(run["creationTime"])}
    for event in run["eventConnection"]["events"]:
        at = float(event["timestamp"]) / 1000
        if event["eventType"]:
            moments.setdefault(event["eventType"], at)
        elif " rows from " in event["message"]:
            moments.setdefault("written", at)
    return moments


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
