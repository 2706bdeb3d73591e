"""One look at everything: the log, both planes, runs under way, dead letters."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.pipeline.pending import beyond_log, different_log, uncommitted
from fraiseql_assets.planes import Plane, PlaneError, committed_ranges
from fraiseql_assets.ranges import SequenceRange, merge
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import PLANES, open_planes
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
    """The log's head; `error` says why when it could not be asked."""

    stream: str
    first: int = 0
    last: int = 0
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
    log = _look_at_log(settings)
    with ThreadPoolExecutor(len(planes) + 1) as pool:
        runs = pool.submit(_look_at_runs, settings)
        found = list(pool.map(lambda plane: _look_at_plane(plane, log, settings), planes))
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


def _look_at_log(settings: Settings) -> LogStatus:
    try:
        with Log(settings, name="fraiseql-assets status") as log:
            bounds = log.bounds()
            dead_letters = log.count_dead_letters()
            log.probe_write()
    except LogError as error:
        return LogStatus(settings.stream, error=str(error))
    return LogStatus(
        settings.stream,
        bounds.first,
        bounds.last,
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
            again = _look_at_log(settings)
            ahead = None if again.error else beyond_log(again.last, entries)
            if ahead:
                return PlaneStatus(plane.name, error=different_log(plane.name, log.stream, ahead))
    except PlaneError as error:
        return PlaneStatus(plane.name, error=str(error))
    finally:
        plane.close()
    committed = [entry for entry in entries if entry.state == "committed"]
    missing = uncommitted(log.first, log.last, entries)
    ranges = merge(committed_ranges(entries))
    newest = max((entry.at for entry in committed), default=None)
    return PlaneStatus(
        plane.name,
        position=_position(ranges, missing),
        behind=sum(map(len, missing)),
        rows=sum(entry.rows for entry in committed),
        begun=tuple(str(entry.range) for entry in entries if entry.state == "begun"),
        last_commit=newest.isoformat(timespec="seconds") if newest else None,
    )


def _position(ranges: list[SequenceRange], missing: list[SequenceRange]) -> int:
    if missing:
        return missing[0].first - 1
    return ranges[-1].last if ranges else 0


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
