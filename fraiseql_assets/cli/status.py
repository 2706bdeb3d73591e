"""One look at everything: the log, both planes, runs under way, dead letters."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.pipeline.progress import LogStatus, PlaneStatus, log_status, plane_status
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import PLANES, open_planes

RUNS_QUERY = """
query RunsUnderWay {
  runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}) {
    ... on Runs { results { runId status jobName tags { key value } } }
  }
}
"""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run that is queued or under way."""

    run: str
    status: str
    job: str
    range: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything on one screen."""

    at: str
    healthy: bool
    log: LogStatus
    planes: tuple[PlaneStatus, ...]
    runs: tuple[RunStatus, ...]
    dagster_error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def look(settings: Settings) -> Status:
    """Asks every part, all at once; what does not answer is said where it belongs."""
    planes = open_planes(settings)
    log = log_status(settings, writes=True)
    with ThreadPoolExecutor(len(planes) + 1) as pool:
        runs = pool.submit(_look_at_runs, settings)
        found = list(pool.map(lambda plane: plane_status(plane, log, settings), planes))
    under_way, dagster_error = runs.result()
    wrong = [log.error, dagster_error, *(plane.error for plane in found)]
    return Status(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        healthy=not any(wrong),
        log=log,
        planes=(*found, *_switched_off(settings)),
        runs=under_way,
        dagster_error=dagster_error,
    )


def _switched_off(settings: Settings) -> list[PlaneStatus]:
    return [PlaneStatus(name, off=True) for name in PLANES if not settings.has_plane(name)]


def _look_at_runs(settings: Settings) -> tuple[tuple[RunStatus, ...], str | None]:
    url = f"{settings.dagster_url}/graphql"
    try:
        answer = requests.post(
            url, json={"query": RUNS_QUERY}, timeout=settings.probe_timeout_seconds
        )
        answer.raise_for_status()
        results = answer.json()["data"]["runsOrError"]["results"]
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        return (), (
            f"Dagster at {without_credentials(settings.dagster_url)} does not answer "
            f"({type(error).__name__}). Check that its web server runs and that "
            "FRAISEQL_DAGSTER_URL names it."
        )
    return tuple(_run(result) for result in results), None


def _run(result: dict[str, Any]) -> RunStatus:
    tags = {tag["key"]: tag["value"] for tag in result["tags"]}
    what = tags.get("fraiseql/range") or tags.get("dagster/partition")
    return RunStatus(result["runId"][:8], result["status"], result["jobName"], what)
