"""Shared by the assets that are filled from a log: the work of a run and its error handling."""

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from fraiseql_assets.catalogue import Asset
from fraiseql_assets.defs.metadata import sentence_of
from fraiseql_assets.defs.partitions import day_of
from fraiseql_assets.defs.run_control import RunControl, retried, tag_worker
from fraiseql_assets.runs import EventsConfig, pools_of

# pyarrow and the clients are imported inside functions. At module level they would delay the first
# row of every run by a second.
if TYPE_CHECKING:
    from datetime import date

    from fraiseql_assets.pipeline.job import Job, Report
    from fraiseql_assets.planes import Plane
    from fraiseql_assets.ranges import SequenceRange
    from fraiseql_assets.settings import Settings
    from fraiseql_assets.stream.log import Log

RECONNECT_SECONDS = 30
PROGRESS_SECONDS = 30.0
HANDOVER_SECONDS = 20.0
"""How much longer than FRAISEQL_RUN_SECONDS a run may continue if no other run waits."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a run for its partition."""

    report: "Report"
    ranges: tuple["SequenceRange", ...]
    day_rows: int
    """Rows that the partition holds now."""

    is_observation: bool
    """The run changed nothing: the partition is complete, or no data exists for it. Runs requested
    by a person or a backfill are always reported as materialisations."""


def materialise(
    context: dg.AssetExecutionContext, asset: Asset, config: EventsConfig, settings: "Settings"
) -> Done:
    """Does the work of a run: adds its range and later messages, or rebuilds its partition.

    Raises:
        dagster.RetryRequested: a server failed; the run can be retried.
        dagster.Failure: retrying would not help; the message says what to do.
    """
    from fraiseql_assets.pipeline.job import IngestError, Job, default_batching
    from fraiseql_assets.planes import PlaneError
    from fraiseql_assets.stream.connection import LogError
    from fraiseql_assets.stream.log import Log

    tag_worker(context)
    day = day_of(context.partition_key)
    transient, final = (PlaneError, LogError), (IngestError,)
    shared = len(pools_of(context.run)) > 1
    if shared:
        # The step of the other plane waits for this one, so this one fails without a retry.
        transient, final = (), (*final, *transient)
    with retried(transient, final), closing(plane_of(asset, settings)) as plane:
        if shared:
            plane.ping()
        name = f"fraiseql-assets {plane.name} run"
        control = RunControl(context.instance, context.run_id, asset.pool)
        batching, ahead = default_batching(settings), settings.queue_batches
        job = Job(context.run_id, config.attempt, batching, ahead, control.checkpoint)
        with Log(
            settings, name=name, reconnect_seconds=RECONNECT_SECONDS, dataset=plane.dataset
        ) as log:
            if config.range or config.keep_going:
                report, ranges = _add(context, plane, log, day, job, config, control, settings)
            else:
                report, ranges = _rebuild(context, plane, log, day, job, config, settings), ()
            entries = plane.ledger(log.stream, day)
        context.log.info(sentence_of(report, plane.name))
        day_rows = sum(e.rows for e in entries if e.state == "committed")
        may_do_nothing = config.only_if_broken or config.keep_going
        return Done(report, ranges, day_rows, may_do_nothing and report.range is None)


def plane_of(asset: Asset, settings: "Settings") -> "Plane":
    """The plane of an asset.

    Raises:
        dagster.Failure: the plane is switched off; a retry would not help.
    """
    from fraiseql_assets.datasets import DATASETS
    from fraiseql_assets.planes import PlaneOff
    from fraiseql_assets.setup import open_plane

    if not settings.has_plane(asset.plane):
        raise dg.Failure(description=str(PlaneOff(asset.plane)), allow_retries=False)
    return open_plane(asset.plane, settings, DATASETS[asset.dataset])


def _add(
    context: dg.AssetExecutionContext,
    plane: "Plane",
    log: "Log",
    day: "date",
    job: "Job",
    config: EventsConfig,
    control: RunControl,
    settings: "Settings",
) -> tuple["Report", tuple["SequenceRange", ...]]:
    """Adds a range. With `keep_going`, also adds the rest of the day and new messages."""
    from fraiseql_assets.pipeline.follow import Limits, follow
    from fraiseql_assets.pipeline.ingest import ingest_range
    from fraiseql_assets.pipeline.pending import parse_range, require_in_day

    sequences = parse_range(config.range) if config.range else None
    if sequences and not config.keep_going:
        require_in_day(log, sequences, day, plane.ledger(log.stream, day))
        return ingest_range(plane, log, sequences, day, job), (sequences,)
    # Within this time the sensor requests the next run, and this run ends to let it start.
    seconds = settings.run_seconds + HANDOVER_SECONDS
    limits = Limits(seconds, settings.run_quiet_seconds, settings.range_messages)
    followed = follow(
        plane,
        log,
        day,
        job,
        limits,
        first=sequences,
        reason_to_end=control.reason_to_end,
        progress=_Progress(context, plane.name).add,
    )
    context.log.info(f"{plane.name}: the run ends after {followed.count} ranges: {followed.ended}")
    return followed.report, followed.ranges


class _Progress:
    """Logs the ranges of a run at intervals, because every log line is kept for days."""

    def __init__(self, context: dg.AssetExecutionContext, plane: str) -> None:
        self._context, self._plane = context, plane
        self._rows = self._ranges = 0
        self._reported_at = time.monotonic()

    def add(self, report: "Report") -> None:
        self._rows, self._ranges = self._rows + report.rows, self._ranges + 1
        if time.monotonic() - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = time.monotonic()
            self._context.log.info(
                f"{self._plane}: {self._rows:,} rows of {self._ranges} ranges so far, up to "
                f"sequence {report.range.last if report.range else 0:,}"
            )


def _rebuild(
    context: dg.AssetExecutionContext,
    plane: "Plane",
    log: "Log",
    day: "date",
    job: "Job",
    config: EventsConfig,
    settings: "Settings",
) -> "Report":
    """Rebuilds the day; with `only_if_broken`, only if it is not complete."""
    from fraiseql_assets.pipeline.compact import compact_day
    from fraiseql_assets.pipeline.job import Report
    from fraiseql_assets.pipeline.rebuild import rebuild_day
    from fraiseql_assets.pipeline.verify import verify_day
    from fraiseql_assets.setup import other_plane

    if config.only_if_broken and verify_day(plane, log, day).is_complete:
        compacted = compact_day(plane, log.stream, day, context.run_id)
        if compacted:
            context.log.info(f"{plane.name}: {compacted} ledger entries became one")
        return Report(already_committed=True)
    with closing(other_plane(plane, settings)) as other:
        return rebuild_day(plane, other, log, day, job)
