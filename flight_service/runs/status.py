"""The state of a run or a backfill, and its changes until the end."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from flight_service.errors import Stopping, UnknownName
from flight_service.runs.dagster import Dagster, DagsterFailed, message_of
from flight_service.tickets import shown
from fraiseql_assets.cancellation import Cancellation

POLL_SECONDS = 1.0
ENDED = frozenset(
    {
        *("SUCCESS", "FAILURE", "CANCELED"),
        *("COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED"),
    }
)
"""Dagster's statuses of runs and of backfills that have ended."""

State = dict[str, Any]


def run_state(dagster: Dagster, id: str) -> State:
    """The state of a run.

    Raises:
        UnknownName: there is no such run.
        DagsterFailed: Dagster cannot be asked.
    """
    found = _found(
        dagster, "run", id, f"There is no run {shown(id)}. Dagster keeps runs for some days only."
    )
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    return {
        "run_id": id,
        **_progress(found),
        "partition": tags.get("dagster/partition"),
        "materialised": [
            {
                "asset": _key(one["assetKey"]),
                "partition": one["partition"],
                "rows": _rows(one["metadataEntries"]),
            }
            for one in found["assetMaterializations"]
        ],
        "error": _error_of(dagster, id) if found["status"] == "FAILURE" else None,
    }


def backfill_state(dagster: Dagster, id: str) -> State:
    """The state of a backfill.

    Raises:
        UnknownName: there is no such backfill.
        DagsterFailed: Dagster cannot be asked.
    """
    found = _found(dagster, "backfill", id, f"There is no backfill {shown(id)}.")
    counted = (found["assetBackfillData"] or {}).get("assetBackfillStatuses", ())
    return {
        "backfill_id": id,
        **_progress(found),
        "partitions": [
            {
                "asset": _key(one["assetKey"]),
                "targeted": one["numPartitionsTargeted"],
                "running": one["numPartitionsInProgress"],
                "materialised": one["numPartitionsMaterialized"],
                "failed": one["numPartitionsFailed"],
            }
            for one in counted
            if one
        ],
        "error": found["error"] and message_of(found["error"]),
    }


def _found(dagster: Dagster, query: str, id: str, missing: str) -> dict[str, Any]:
    """What Dagster answers about a run or a backfill. `missing` says that there is none."""
    found = dagster.ask(query, {"id": id})
    if found["__typename"] in ("RunNotFoundError", "BackfillNotFoundError"):
        raise UnknownName(missing)
    if "status" not in found:
        raise DagsterFailed(f"Dagster reports an error: {message_of(found)}")
    return found


def _progress(found: dict[str, Any]) -> State:
    """What the states of runs and backfills have in common."""
    return {
        "status": found["status"],
        "assets": _keys(found["assetSelection"]),
        "started_at": _time(found["startTime"]),
        "ended_at": _time(found["endTime"]),
    }


def followed(ask: Callable[[], State], cancellation: Cancellation) -> Iterator[State]:
    """Yields the state and every later state until the end, or until the call is cancelled.

    Raises:
        Stopping: the service stops before the end.
    """
    state = ask()
    yield state
    while state["status"] not in ENDED and not cancellation.wait(POLL_SECONDS):
        before, state = state, ask()
        if state != before:
            yield state
    if cancellation.stopping and state["status"] not in ENDED:
        raise Stopping


def _error_of(dagster: Dagster, id: str) -> str | None:
    """Why a run failed: the error of its first failed step, or of the run."""
    events = dagster.ask("run_failure", {"id": id}).get("eventConnection", {}).get("events", ())
    found = [event for event in events if event]
    errors = [event["error"] for event in found if event.get("error")]
    return message_of((errors or found)[0]) if found else None


def _keys(selection: list[dict[str, Any]] | None) -> list[str]:
    return sorted(map(_key, selection or ()))


def _key(key: dict[str, Any]) -> str:
    return "/".join(key["path"])


def _rows(entries: list[dict[str, Any]]) -> int | None:
    return next((one["intValue"] for one in entries if one["label"] == "rows"), None)


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
