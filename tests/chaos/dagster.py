"""Requests to the stack's Dagster, as a user makes them in the UI."""

import time
from datetime import date
from typing import Any

import requests

from fraiseql_assets.settings import Settings

TAG = "chaos/trial"
JOBS = {
    "analytics": "materialise_analytics_events",
    "operational": "materialise_operational_events",
}
LAUNCH = """
mutation Rebuild($job: String!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: {
      repositoryName: "__repository__"
      repositoryLocationName: "fraiseql_assets.defs.definitions"
      jobName: $job
    }
    runConfigData: {}
    executionMetadata: {tags: $tags}
  }) {
    __typename
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
RUNS = """
query Runs($tags: [ExecutionTag!]!) {
  runsOrError(filter: {tags: $tags}) { ... on Runs { results { runId status } } }
}
"""
UNDER_WAY = """
query UnderWay {
  runsOrError(filter: {statuses: [STARTED]}) { ... on Runs { results { runId } } }
}
"""
TERMINATE = """
mutation Terminate($id: String!) { terminateRun(runId: $id) { __typename } }
"""
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
PROCESS_SECONDS = 60.0


def ask_for_rebuild(settings: Settings, plane: str, day: date, trial: str) -> None:
    """Requests a rebuild of a plane's day. Tries again while Dagster restarts.

    Raises:
        AssertionError: Dagster did not accept the request within a minute.
    """
    tags = [{"key": "dagster/partition", "value": f"{day}"}, {"key": TAG, "value": trial}]
    deadline = time.monotonic() + PROCESS_SECONDS
    while True:
        try:
            answer = _post(settings, LAUNCH, {"job": JOBS[plane], "tags": tags})["launchRun"]
            if answer["__typename"] == "LaunchRunSuccess":
                return
        except (requests.RequestException, KeyError, TypeError) as error:
            answer = error
        assert time.monotonic() < deadline, f"Dagster launched no rebuild: {answer}"
        time.sleep(0.5)


def terminate_run(settings: Settings) -> bool:
    """Terminates a run that is under way, as a person does. Returns whether there was one."""
    try:
        runs = _post(settings, UNDER_WAY, {})["runsOrError"]["results"]
        if not runs:
            return False
        answer = _post(settings, TERMINATE, {"id": runs[0]["runId"]})
        return answer["terminateRun"]["__typename"] == "TerminateRunSuccess"
    except (requests.RequestException, KeyError, TypeError):
        return False


def has_ended(settings: Settings, trial: str) -> bool:
    """Whether every run of the trial's rebuild has ended, retries included."""
    variables = {"tags": [{"key": TAG, "value": trial}]}
    try:
        runs = _post(settings, RUNS, variables)["runsOrError"]["results"]
    except (requests.RequestException, KeyError, TypeError):
        return False
    return all(run["status"] in ENDED for run in runs)


def _post(settings: Settings, query: str, variables: Any) -> Any:
    answer = requests.post(
        f"{settings.dagster_url}/graphql",
        json={"query": query, "variables": variables},
        timeout=10,
    )
    return answer.json()["data"]
