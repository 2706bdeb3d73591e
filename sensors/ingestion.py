"""The sensors that keep the planes up to date with the log: one per plane and dataset, each
independent of the others.

A tick reads the bounds of the log and the ledger of the plane. It requests one run over the oldest
range that is in the log and in neither the ledger nor an active run. The ledger is authoritative;
run key and cursor are only hints.
"""

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from fraiseql_assets.catalogue import Asset
from fraiseql_assets.resources import ClickHouse, Elasticsearch, Nats, settings_of
from fraiseql_assets.runs import (
    FOLLOW_TAG,
    LIVE,
    PLANE_TAG,
    PRIORITY_TAG,
    RANGE_TAG,
    SENSOR_PRIORITY,
    STREAM_TAG,
    EventsConfig,
    waiting_run,
)

if TYPE_CHECKING:
    from fraiseql_assets.pipeline.pending import PendingRange
    from fraiseql_assets.planes import LedgerEntry, Plane
    from fraiseql_assets.settings import Settings

ROOT_RUN_TAG = "dagster/root_run_id"

TICK_SECONDS = 4
"""Dagster evaluates sensors every five seconds, sometimes slightly early. With an interval of five
it would skip every other evaluation and tick every ten seconds."""
REQUEST_SECONDS = 10.0
"""The request timeout of a tick for its plane. A hanging plane must not extend the tick beyond the
minute after which Dagster counts it as failed."""
FIRST_BACKOFF_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 300.0
NEXT = "next"
"""The range tag of a run that is requested before its range is known."""
RECENT = timedelta(minutes=15)
"""The maximum age of a ledger entry that causes a warning about another instance."""


_planes: "dict[tuple[Asset, str, str], Plane]" = {}
"""The planes of ticks, by asset and addresses."""


def plane_of_ticks(asset: Asset, settings: "Settings") -> "Plane":
    """The plane of an asset for ticks. It is kept between ticks, because connecting costs more
    than a query."""
    from fraiseql_assets.datasets import DATASETS
    from fraiseql_assets.setup import open_plane

    clickhouse, elasticsearch = settings.clickhouse_url, settings.elasticsearch_url
    key = (asset, clickhouse.get_secret_value(), elasticsearch.get_secret_value())
    if key not in _planes:
        seconds = min(settings.request_timeout_seconds, REQUEST_SECONDS)
        short = settings.model_copy(update={"request_timeout_seconds": seconds})
        _planes[key] = open_plane(asset.plane, short, DATASETS[asset.dataset])
    return _planes[key]


def events_sensor(
    asset: Asset,
    op: str,
    job: str,
    plane: "Callable[[Settings], Plane]",
    *,
    first_day: date,
    status: dg.DefaultSensorStatus,
) -> dg.SensorDefinition:
    """The sensor that requests runs of `job` until `asset` has caught up with the log."""

    @dg.sensor(
        name=f"{'_'.join(asset.path)}_from_the_log",
        job_name=job,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=status,
        description=f"Asks for a run whenever {asset.key} lacks {asset.dataset} of the log.",
    )
    def from_the_log(
        context: dg.SensorEvaluationContext,
        nats: Nats,
        clickhouse: ClickHouse,
        elasticsearch: Elasticsearch,
    ) -> dg.SensorResult | dg.SkipReason:
        from fraiseql_assets.planes import PlaneError, PlaneOff
        from fraiseql_assets.stream.connection import LogError

        settings = settings_of(nats, clickhouse, elasticsearch)
        if not settings.has_plane(asset.plane):
            return dg.SkipReason(
                f"{PlaneOff(asset.plane)} {asset.dataset.capitalize()} wait in the log."
            )
        try:
            return _tick(context, asset, op, plane(settings), settings, first_day)
        except LogError as error:
            return dg.SkipReason(f"The log is out of reach; nothing is lost, it waits. {error}")
        except PlaneError as error:
            return dg.SkipReason(
                f"The {asset.plane} plane is out of reach; {asset.dataset} wait in the log. {error}"
            )

    return from_the_log


def _tick(
    context: dg.SensorEvaluationContext,
    asset: Asset,
    op: str,
    plane: "Plane",
    settings: "Settings",
    first_day: date,
) -> dg.SensorResult | dg.SkipReason:
    from fraiseql_assets.datasets import DATASETS
    from fraiseql_assets.pipeline.pending import (
        PendingRange,
        beyond_log,
        different_log,
        lost_sentence,
        lost_unread,
        next_pending,
        uncommitted,
        unfinished_replacements,
    )
    from fraiseql_assets.stream.log import Log

    dataset = DATASETS[asset.dataset]
    stream = dataset.stream(settings)
    live = _live_run(context.instance, asset.plane, stream)
    own = live.dagster_run if live else None
    waits = waiting_run(context.instance, asset.pool, but=own.run_id if own else "")
    if live and own and not waits and _is_due(live, settings.run_seconds):
        return dg.SensorResult([_successor(asset, op, stream, own)])
    if own:
        return dg.SkipReason(f"A run is under way: {_shown(own)}")
    if waits:
        return dg.SkipReason(f"Run {waits[:8]} comes first")
    with Log(settings, name=f"fraiseql-assets {asset.plane} sensor", dataset=dataset) as log:
        entries = plane.ledger(stream)
        bounds = log.bounds()
        warning = _other_instance(context, entries)
        if warning:
            context.log.warning(warning)
        ahead = beyond_log(bounds.last, entries)
        if ahead:
            return dg.SkipReason(different_log(asset.plane, stream, ahead))
        missing = uncommitted(bounds.first, bounds.last, entries)
        next_range = next_pending(log, missing, entries, most=settings.range_messages)
        lost = lost_unread(log.newest(), missing) if missing and not next_range else []
    # A day that cannot be rebuilt now must not delay new messages.
    work = [
        PendingRange(entry.range, entry.day, rebuild=True)
        for entry in unfinished_replacements(entries)
        if not _is_live(context.instance, entry.run_id)
    ]
    waiting = ""
    for pending in [*work, *([next_range] if next_range else [])]:
        outside = outside_partitions(pending.day, first_day)
        if outside:
            waiting = outside
            continue
        attempts, wait = _backoff(context.instance, asset.plane, stream, pending)
        if wait <= 0:
            request = _request(asset, op, stream, pending, attempts + 1)
            return dg.SensorResult([request], cursor=str(pending.range.last))
        waiting = f"{pending.range} has failed {attempts} times; asked for again in {wait:.0f} s"
    reason = waiting or f"Up with the log, at sequence {bounds.last:,} of {stream}"
    if lost and not waiting:
        reason = lost_sentence(asset.plane, stream, lost)
    return dg.SkipReason(f"{reason}. {warning}" if warning else reason)


def outside_partitions(day: date, first_day: date) -> str | None:
    """Why no run can be requested for a day, or None if it has a partition."""
    if day > datetime.now(UTC).date():
        return (
            f"The next messages are of {day}, which has not begun here: the clock of NATS is "
            "ahead. They are read when the day begins."
        )
    if day < first_day:
        return (
            f"The next messages are of {day}, before the first partition, {first_day}. Reload the "
            f"code location, or set FRAISEQL_FIRST_DAY={day} and restart Dagster."
        )
    return None


def _other_instance(
    context: dg.SensorEvaluationContext, entries: "Sequence[LedgerEntry]"
) -> str | None:
    """A warning if another Dagster instance feeds the plane."""
    recent = [e for e in entries if datetime.now(UTC) - e.at < RECENT and is_run_id(e.run_id)]
    newest = max(recent, key=lambda entry: entry.at, default=None)
    if newest is None or context.instance.has_run(newest.run_id):
        return None
    return (
        f"Run {newest.run_id[:8]}, which wrote {newest.range} at {newest.at:%H:%M:%S}, is not of "
        "this Dagster instance: a second one feeds the same plane. Stop one of them."
    )


def is_run_id(text: str) -> bool:
    """Whether a ledger entry was written by a Dagster run."""
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))


def _request(
    asset: Asset, op: str, stream: str, pending: "PendingRange", attempt: int
) -> dg.RunRequest:
    what = f"rebuild-{pending.day}-{pending.range}" if pending.rebuild else str(pending.range)
    config = EventsConfig(
        range="" if pending.rebuild else str(pending.range),
        keep_going=not pending.rebuild,
        attempt=attempt,
    )
    return dg.RunRequest(
        run_key=f"{asset.plane}:{stream}:{what}:{attempt}",
        partition_key=str(pending.day),
        run_config=dg.RunConfig(ops={op: config}),
        tags={
            PLANE_TAG: asset.plane,
            STREAM_TAG: stream,
            RANGE_TAG: str(pending.range),
            PRIORITY_TAG: str(SENSOR_PRIORITY),
            **({} if pending.rebuild else {FOLLOW_TAG: "true"}),
        },
    )


def _successor(asset: Asset, op: str, stream: str, live: dg.DagsterRun) -> dg.RunRequest:
    """The request for the run that replaces a long-running one."""
    return dg.RunRequest(
        run_key=f"{asset.plane}:{stream}:after:{live.run_id}",
        partition_key=f"{datetime.now(UTC).date()}",
        run_config=dg.RunConfig(ops={op: EventsConfig(keep_going=True)}),
        tags={
            PLANE_TAG: asset.plane,
            STREAM_TAG: stream,
            RANGE_TAG: NEXT,
            FOLLOW_TAG: "true",
            PRIORITY_TAG: str(SENSOR_PRIORITY),
        },
    )


def _is_due(live: dg.RunRecord, seconds: float) -> bool:
    """Whether a long-running ingest has run for more than `seconds`."""
    return (
        FOLLOW_TAG in live.dagster_run.tags
        and live.dagster_run.status == dg.DagsterRunStatus.STARTED
        and live.start_time is not None
        and time.time() - live.start_time > seconds
    )


def _live_run(instance: dg.DagsterInstance, plane: str, stream: str) -> dg.RunRecord | None:
    """The newest queued or active run of this sensor, if there is one."""
    tags = {PLANE_TAG: plane, STREAM_TAG: stream}
    found = instance.get_run_records(dg.RunsFilter(statuses=LIVE, tags=tags), limit=1)
    return found[0] if found else None


def _shown(run: dg.DagsterRun) -> str:
    return f"{run.run_id[:8]} over {run.tags.get(RANGE_TAG)}, {run.status.value.lower()}"


def _is_live(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run, or a run that Dagster started to retry it, is queued or active."""
    same = dg.RunsFilter(statuses=LIVE, run_ids=[run_id])
    instead = dg.RunsFilter(statuses=LIVE, tags={ROOT_RUN_TAG: run_id})
    return bool(instance.get_runs(same, limit=1) or instance.get_runs(instead, limit=1))


def _backoff(
    instance: dg.DagsterInstance, plane: str, stream: str, pending: "PendingRange"
) -> tuple[int, float]:
    """How often the range was tried, and how many seconds to wait before the next attempt."""
    tags = {PLANE_TAG: plane, STREAM_TAG: stream, RANGE_TAG: str(pending.range)}
    records = instance.get_run_records(dg.RunsFilter(tags=tags), limit=100)
    if not records:
        return 0, 0.0
    newest = records[0]
    ended = newest.end_time or newest.update_timestamp.replace(tzinfo=UTC).timestamp()
    pause = min(FIRST_BACKOFF_SECONDS * 2 ** (len(records) - 1), LONGEST_BACKOFF_SECONDS)
    if newest.dagster_run.status == dg.DagsterRunStatus.SUCCESS:
        # The run succeeded and the plane has lost the range since, so there is no need to wait.
        return len(records), 0.0
    return len(records), ended + pause - time.time()
