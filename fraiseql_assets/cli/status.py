"""An overview of the logs, the planes, the bridge, the active runs and the dead-letter messages."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.bridge.lag import Lag
from fraiseql_assets.cli.bridge_lag import bridge_lag
from fraiseql_assets.datasets import DATASETS, EVENTS, REQUESTS, Dataset
from fraiseql_assets.pipeline.progress import LogStatus, PlaneStatus, log_status, plane_status
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_planes

RUNS_QUERY = """
query RunsUnderWay {
  runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}) {
    ... on Runs { results { runId status jobName tags { key value } } }
  }
}
"""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run that is queued or in progress."""

    run: str
    status: str
    job: str
    range: str | None


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """A dataset's log and the progress of its planes."""

    log: LogStatus
    planes: tuple[PlaneStatus, ...]

    @property
    def healthy(self) -> bool:
        return not any((self.log.error, *(plane.error for plane in self.planes)))


@dataclass(frozen=True, slots=True)
class Overview:
    """The complete overview."""

    at: str
    healthy: bool
    log: LogStatus
    """Of the events dataset, like `planes`."""
    planes: tuple[PlaneStatus, ...]
    requests: DatasetStatus
    runs: tuple[RunStatus, ...]
    dagster_error: str | None = None
    bridge: Lag | None = None
    """None where no bridge is used."""
    bridge_error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def collect_status(settings: Settings) -> Overview:
    """Queries all components in parallel. A component that does not answer is reported in its own
    entry."""
    with ThreadPoolExecutor(len(DATASETS) + 2) as pool:
        runs = pool.submit(_active_runs, settings)
        bridge = pool.submit(bridge_lag, settings)
        events, of_requests = pool.map(
            lambda dataset: _dataset_status(dataset, settings), (EVENTS, REQUESTS)
        )
    under_way, dagster_error = runs.result()
    lag, bridge_error = bridge.result()
    return Overview(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        healthy=events.healthy and of_requests.healthy and not dagster_error and not bridge_error,
        log=events.log,
        planes=events.planes,
        requests=of_requests,
        runs=under_way,
        dagster_error=dagster_error,
        bridge=lag,
        bridge_error=bridge_error,
    )


def _dataset_status(dataset: Dataset, settings: Settings) -> DatasetStatus:
    planes = open_planes(settings, dataset)
    log = log_status(dataset, settings, writes=True)
    with ThreadPoolExecutor(max(1, len(planes))) as pool:
        found = list(pool.map(lambda plane: plane_status(plane, log, settings), planes))
    off = (PlaneStatus(name, off=True) for name in dataset.planes if not settings.has_plane(name))
    return DatasetStatus(log, (*found, *off))


def _active_runs(settings: Settings) -> tuple[tuple[RunStatus, ...], str | None]:
    url, where = f"{settings.dagster_url}/graphql", without_credentials(settings.dagster_url)
    try:
        answer = requests.post(
            url,
            json={"query": RUNS_QUERY},
            timeout=settings.probe_timeout_seconds,
            auth=settings.dagster_login,
        )
        if answer.status_code == 401:
            return (), f"Dagster at {where} asks for a password: set FRAISEQL_DAGSTER_PASSWORD."
        answer.raise_for_status()
        results = answer.json()["data"]["runsOrError"]["results"]
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        return (), (
            f"Dagster at {where} does not answer ({type(error).__name__}). "
            "Check that its web server runs and that FRAISEQL_DAGSTER_URL names it."
        )
    return tuple(_run(result) for result in results), None


def _run(result: dict[str, Any]) -> RunStatus:
    tags = {tag["key"]: tag["value"] for tag in result["tags"]}
    what = tags.get("fraiseql/range") or tags.get("dagster/partition")
    return RunStatus(result["runId"][:8], result["status"], result["jobName"], what)
