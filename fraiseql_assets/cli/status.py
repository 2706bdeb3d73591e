"""One look at everything: the logs, the planes, runs under way, dead-letter messages."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from fraiseql_assets.datasets import DATASETS, EVENTS, REQUESTS, Dataset
from fraiseql_assets.pipeline.pending import (
    beyond_log,
    different_log,
    lost_sentence,
    lost_unread,
    uncommitted,
)
from fraiseql_assets.planes import Plane, PlaneError, committed_ranges
from fraiseql_assets.ranges import SequenceRange, merge
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_planes
from fraiseql_assets.stream.access import public_address
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.stream.log import Log

RUNS_QUERY = """
query RunsUnderWay {
  runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}) {
    ... on Runs { results { runId status jobName tags { key value } } }
  }
}
"""


@dataclass(frozen=True, slots=True)
class LogStatus:
    """The head of a dataset's log; `error` says why when it could not be asked."""

    stream: str
    first: int = 0
    last: int = 0
    newest: int = 0
    """The newest message that it still holds."""
    messages: int = 0
    bytes: int = 0
    dead_letters: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PlaneStatus:
    """How far a plane is: `position` is the sequence up to which nothing is missing."""

    plane: str
    position: int = 0
    behind: int = 0
    """Sequences in the log that the plane has not committed."""
    lost: str | None = None
    """Which messages the log has dropped before the plane read them, and what to do."""
    rows: int = 0
    """Rows that committed ranges hold."""
    begun: tuple[str, ...] = ()
    last_commit: str | None = None
    error: str | None = None
    off: bool = False
    """Switched off by a setting."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run that is queued or under way."""

    run: str
    status: str
    job: str
    range: str | None


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """A dataset's log, and how far its planes are."""

    log: LogStatus
    planes: tuple[PlaneStatus, ...]

    @property
    def healthy(self) -> bool:
        return not any((self.log.error, *(plane.error for plane in self.planes)))


@dataclass(frozen=True, slots=True)
class Status:
    """Everything on one screen."""

    at: str
    healthy: bool
    log: LogStatus
    """Of events, as `planes`."""
    planes: tuple[PlaneStatus, ...]
    requests: DatasetStatus
    runs: tuple[RunStatus, ...]
    dagster_error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def look(settings: Settings) -> Status:
    """Asks every part, all at once; what does not answer is said where it belongs."""
    with ThreadPoolExecutor(len(DATASETS) + 1) as pool:
        runs = pool.submit(_look_at_runs, settings)
        events, of_requests = pool.map(
            lambda dataset: _look_at_dataset(dataset, settings), (EVENTS, REQUESTS)
        )
    under_way, dagster_error = runs.result()
    return Status(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        healthy=events.healthy and of_requests.healthy and not dagster_error,
        log=events.log,
        planes=events.planes,
        requests=of_requests,
        runs=under_way,
        dagster_error=dagster_error,
    )


def _look_at_dataset(dataset: Dataset, settings: Settings) -> DatasetStatus:
    planes = open_planes(settings, dataset)
    log = _look_at_log(dataset, settings)
    with ThreadPoolExecutor(max(1, len(planes))) as pool:
        found = list(pool.map(lambda plane: _look_at_plane(plane, log, settings), planes))
    off = (PlaneStatus(name, off=True) for name in dataset.planes if not settings.has_plane(name))
    return DatasetStatus(log, (*found, *off))


def _look_at_log(dataset: Dataset, settings: Settings) -> LogStatus:
    stream = dataset.stream(settings)
    try:
        with Log(settings, name="fraiseql-assets status", dataset=dataset) as log:
            # What is published in between counts as not read yet, never as lost.
            bounds, newest = log.bounds(), log.newest()
            dead_letters = log.count_dead_letters()
            log.probe_write()
    except LogError as error:
        return LogStatus(stream, error=str(error))
    return LogStatus(
        stream,
        bounds.first,
        bounds.last,
        newest,
        bounds.messages,
        bounds.bytes,
        dead_letters,
    )


def _look_at_plane(plane: Plane, log: LogStatus, settings: Settings) -> PlaneStatus:
    try:
        plane.ping()
        entries = plane.ledger(log.stream)
        if not log.error and beyond_log(log.last, entries):
            # Asked before the ledger, the log may have grown since.
            again = _look_at_log(plane.dataset, settings)
            ahead = None if again.error else beyond_log(again.last, entries)
            if ahead:
                return PlaneStatus(plane.name, error=different_log(plane.name, log.stream, ahead))
    except PlaneError as error:
        return PlaneStatus(plane.name, error=str(error))
    finally:
        plane.close()
    committed = [entry for entry in entries if entry.state == "committed"]
    missing = uncommitted(log.first, log.last, entries)
    lost = lost_unread(log.newest, missing)
    ranges = merge(committed_ranges(entries))
    newest = max((entry.at for entry in committed), default=None)
    return PlaneStatus(
        plane.name,
        position=_position(ranges, missing),
        behind=sum(map(len, missing)) - sum(map(len, lost)),
        lost=lost_sentence(plane.name, log.stream, lost) if lost else None,
        rows=sum(entry.rows for entry in committed),
        begun=tuple(str(entry.range) for entry in entries if entry.state == "begun"),
        last_commit=newest.isoformat(timespec="seconds") if newest else None,
    )


def _position(ranges: list[SequenceRange], missing: list[SequenceRange]) -> int:
    if missing:
        return missing[0].first - 1
    return ranges[-1].last if ranges else 0


def _look_at_runs(settings: Settings) -> tuple[tuple[RunStatus, ...], str | None]:
    url, where = f"{settings.dagster_url}/graphql", public_address(settings.dagster_url)
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
