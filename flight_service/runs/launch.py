"""Launches Dagster's runs and backfills of an asset's partitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest, UnknownName
from flight_service.runs.dagster import Dagster, DagsterFailed, message_of
from flight_service.tickets import shown
from fraiseql_assets.catalogue import AGGREGATES, ANALYTICS_EVENTS, BY_KEY, Asset

PARTITION_TAG = "dagster/partition"
PRINCIPAL_TAG = "fraiseql/requested_by"
JOBS = "materialise_"
"""The prefix of names of jobs that rebuild a partition."""


@dataclass(frozen=True, slots=True)
class Target:
    """An asset in Dagster."""

    asset: Asset
    job: str
    repository: str
    location: str
    partitions: Sequence[str]

    @property
    def selection(self) -> list[dict[str, list[str]]]:
        """The assets to materialise. A day of events includes its aggregates."""
        of_events = AGGREGATES if self.asset == ANALYTICS_EVENTS else ()
        return [{"path": one.path} for one in (self.asset, *of_events)]


def find_target(dagster: Dagster, key: str) -> Target:
    """The asset of a key.

    Raises:
        UnknownName: there is no such asset.
        InvalidRequest: it is a log, which cannot be materialised.
        DagsterFailed: Dagster cannot be asked.
    """
    filled = [asset.key for asset in BY_KEY.values() if asset.plane != "stream"]
    asset = BY_KEY.get(key)
    if asset is None:
        raise UnknownName(f"There is no asset {shown(key)}. There are: {', '.join(filled)}.")
    if key not in filled:
        raise InvalidRequest(
            f"{key} is the log itself, which no run fills. Take one of {', '.join(filled)}."
        )
    nodes = dagster.ask("asset", {"path": asset.path})
    if not nodes:
        raise UnknownName(f"Dagster has no asset {key}. Check its code location.")
    [node] = nodes
    job = next((name for name in node["jobNames"] if name.startswith(JOBS)), None)
    if job is None:
        raise DagsterFailed(f"Dagster has no job that materialises {key}. Check its code location.")
    repository = node["repository"]
    return Target(
        asset, job, repository["name"], repository["location"]["name"], node["partitionKeys"]
    )


def launch_run(dagster: Dagster, target: Target, partition: str, principal: Principal) -> str:
    """Launches a run that rebuilds a partition. Returns its id.

    Raises:
        UnknownName: the asset has no such partition.
        DagsterFailed: Dagster does not launch it.
    """
    if partition not in target.partitions:
        raise _no_partition(target, f"no partition {shown(partition)}")
    tags = [{"key": PARTITION_TAG, "value": partition}, *_tags(principal)]
    answer = dagster.ask(
        "launch_run",
        {
            "repository": target.repository,
            "location": target.location,
            "job": target.job,
            "assets": target.selection,
            "tags": tags,
        },
    )
    if "run" not in answer:
        raise _not_launched("run", answer)
    return answer["run"]["runId"]


def launch_backfill(
    dagster: Dagster, target: Target, start: str, end: str, principal: Principal
) -> tuple[str, list[str]]:
    """Launches a backfill of the partitions from `start` to `end`, both included. Returns its id
    and the partitions.

    Raises:
        InvalidRequest: the end is before the start.
        UnknownName: the asset has no partition between them.
        DagsterFailed: Dagster does not launch it.
    """
    if end < start:
        raise InvalidRequest(f"The end {shown(end)} is before the start {shown(start)}.")
    partitions = [one for one in target.partitions if start <= one <= end]
    if not partitions:
        raise _no_partition(target, f"no partition from {shown(start)} to {shown(end)}")
    answer = dagster.ask(
        "launch_backfill",
        {"assets": target.selection, "partitions": partitions, "tags": _tags(principal)},
    )
    if "backfillId" not in answer:
        raise _not_launched("backfill", answer)
    return answer["backfillId"], partitions


def _tags(principal: Principal) -> list[dict[str, str]]:
    if principal.subject is None:
        return []
    return [{"key": PRINCIPAL_TAG, "value": principal.subject}]


def _no_partition(target: Target, what: str) -> UnknownName:
    there = "none"
    if target.partitions:
        there = f"the days from {target.partitions[0]} to {target.partitions[-1]}"
    return UnknownName(f"{target.asset.key} has {what}. Its partitions are {there}.")


def _not_launched(what: str, answer: dict[str, Any]) -> DagsterFailed:
    errors = answer.get("errors") or [answer]
    return DagsterFailed(f"Dagster does not launch the {what}: {message_of(errors[0])}")
