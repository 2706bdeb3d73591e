"""The sensors that keep both planes up with the log: one per plane, each blind to the other.

A tick asks the log for its bounds and the plane for its ledger, and asks Dagster for one run over
the oldest range that is in the log and in neither the ledger nor a live run. The ledger is the
truth; run key and cursor are hints.
"""

import time
from collections.abc import Callable
from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING

import dagster as dg

from fraiseql_assets.catalogue import Asset
from fraiseql_assets.runs import PLANE_TAG, RANGE_TAG, STREAM_TAG, EventsConfig

if TYPE_CHECKING:
    from fraiseql_assets.pipeline.pending import PendingRange
    from fraiseql_assets.planes import Plane
    from fraiseql_assets.settings import Settings

ROOT_RUN_TAG = "dagster/root_run_id"

LIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

TICK_SECONDS = 4
"""Dagster looks every five seconds, now and then a little early: asked for five, it would pass over
every other look and tick every ten."""
REQUEST_SECONDS = 10.0
"""How long a tick waits for an answer of its plane: one that hangs must not take the tick beyond
the minute after which Dagster counts it as failed."""
FIRST_BACKOFF_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 300.0


@cache
def analytics_plane() -> "Plane":
    """The plane as a tick asks it; kept between ticks, since connecting costs more than asking."""
    from fraiseql_assets.analytics.plane import AnalyticsPlane

    return AnalyticsPlane(_impatient())


@cache
def operational_plane() -> "Plane":
    """The plane as a tick asks it; kept between ticks, since connecting costs more than asking."""
    from fraiseql_assets.operational.plane import OperationalPlane

    return OperationalPlane(_impatient())


def _impatient() -> "Settings":
    """The settings, with less time for a request."""
    from fraiseql_assets.settings import get_settings

    settings = get_settings()
    seconds = min(settings.request_timeout_seconds, REQUEST_SECONDS)
    return settings.model_copy(update={"request_timeout_seconds": seconds})


def events_sensor(
    asset: Asset, op: str, job: str, plane: Callable[[], "Plane"]
) -> dg.SensorDefinition:
    """The sensor that asks for runs of `job` until `asset` has caught up with the log."""

    @dg.sensor(
        name=f"{asset.plane}_events_from_the_log",
        job_name=job,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks for a run whenever the log holds events that {asset.key} does not.",
    )
    def from_the_log(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from fraiseql_assets.planes import PlaneError, PlaneOff
        from fraiseql_assets.settings import get_settings
        from fraiseql_assets.stream.connection import LogError

        settings = get_settings()
        if not settings.has_plane(asset.plane):
            return dg.SkipReason(f"{PlaneOff(asset.plane)} Events wait in the log.")
        try:
            return _tick(context, asset, op, plane(), settings)
        except LogError as error:
            return dg.SkipReason(f"The log is out of reach; nothing is lost, it waits. {error}")
        except PlaneError as error:
            return dg.SkipReason(
                f"The {asset.plane} plane is out of reach; events wait in the log. {error}"
            )

    return from_the_log


def _tick(
    context: dg.SensorEvaluationContext,
    asset: Asset,
    op: str,
    plane: "Plane",
    settings: "Settings",
) -> dg.SensorResult | dg.SkipReason:
    from fraiseql_assets.pipeline.pending import (
        PendingRange,
        different_log,
        half_replaced,
        never_assigned,
        next_pending,
        unclaimed,
    )
    from fraiseql_assets.stream.log import Log

    live = _live_run(context.instance, asset.plane, settings.stream)
    if live:
        return dg.SkipReason(f"A run is under way: {live}")
    with Log(settings, name=f"fraiseql-assets {asset.plane} sensor") as log:
        entries = plane.ledger(settings.stream)
        bounds = log.bounds()
        ahead = never_assigned(bounds.last, entries)
        if ahead:
            return dg.SkipReason(different_log(asset.plane, settings.stream, ahead))
        missing = unclaimed(bounds.first, bounds.last, entries)
        next_range = next_pending(log, missing, entries, most=settings.range_messages)
    # A day that cannot be rebuilt now must not hold up what arrives.
    work = [
        PendingRange(entry.range, entry.day, rebuild=True)
        for entry in half_replaced(entries)
        if not _is_at_work(context.instance, entry.run_id)
    ]
    waiting = ""
    for pending in [*work, *([next_range] if next_range else [])]:
        attempts, wait = _backoff(context.instance, asset.plane, settings.stream, pending)
        if wait <= 0:
            request = _request(asset, op, settings.stream, pending, attempts + 1)
            return dg.SensorResult([request], cursor=str(pending.range.last))
        waiting = f"{pending.range} has failed {attempts} times; asked for again in {wait:.0f} s"
    return dg.SkipReason(
        waiting or f"Up with the log, at sequence {bounds.last:,} of {settings.stream}"
    )


def _request(
    asset: Asset, op: str, stream: str, pending: "PendingRange", attempt: int
) -> dg.RunRequest:
    what = f"rebuild-{pending.day}-{pending.range}" if pending.rebuild else str(pending.range)
    config = EventsConfig(range="" if pending.rebuild else str(pending.range), attempt=attempt)
    return dg.RunRequest(
        run_key=f"{asset.plane}:{stream}:{what}:{attempt}",
        partition_key=str(pending.day),
        run_config=dg.RunConfig(ops={op: config}),
        tags={PLANE_TAG: asset.plane, STREAM_TAG: stream, RANGE_TAG: str(pending.range)},
    )


def _live_run(instance: dg.DagsterInstance, plane: str, stream: str) -> str | None:
    runs = instance.get_runs(
        dg.RunsFilter(statuses=LIVE, tags={PLANE_TAG: plane, STREAM_TAG: stream}), limit=1
    )
    if not runs:
        return None
    run = runs[0]
    return f"{run.run_id[:8]} over {run.tags.get(RANGE_TAG)}, {run.status.value.lower()}"


def _is_at_work(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run, or one that Dagster has put in its place, is under way."""
    same = dg.RunsFilter(statuses=LIVE, run_ids=[run_id])
    instead = dg.RunsFilter(statuses=LIVE, tags={ROOT_RUN_TAG: run_id})
    return bool(instance.get_runs(same, limit=1) or instance.get_runs(instead, limit=1))


def _backoff(
    instance: dg.DagsterInstance, plane: str, stream: str, pending: "PendingRange"
) -> tuple[int, float]:
    """How often the range was tried, and how many seconds to let pass before the next try."""
    tags = {PLANE_TAG: plane, STREAM_TAG: stream, RANGE_TAG: str(pending.range)}
    records = instance.get_run_records(dg.RunsFilter(tags=tags), limit=100)
    if not records:
        return 0, 0.0
    newest = records[0]
    ended = newest.end_time or newest.update_timestamp.replace(tzinfo=UTC).timestamp()
    pause = min(FIRST_BACKOFF_SECONDS * 2 ** (len(records) - 1), LONGEST_BACKOFF_SECONDS)
    if newest.dagster_run.status == dg.DagsterRunStatus.SUCCESS:
        # It did succeed, and the plane has lost it since: there is nothing to wait for.
        return len(records), 0.0
    return len(records), ended + pause - time.time()
