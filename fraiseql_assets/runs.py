"""Shared by sensors and the runs that they request: run configuration and tags."""

import time

import dagster as dg
from pydantic import Field

from fraiseql_assets.catalogue import BY_KEY

PLANE_TAG = "fraiseql/plane"
STREAM_TAG = "fraiseql/stream"
RANGE_TAG = "fraiseql/range"
WORKER_TAG = ".fraiseql/worker"
"""The process that works on the run. Dagster's UI hides tags that begin with a dot."""
FOLLOW_TAG = ".fraiseql/keeps-going"
"""Marks a long-running ingest, as opposed to a run that rebuilds a day."""
PRIORITY_TAG = "dagster/priority"
SENSOR_PRIORITY = -1
"""Lower than the default, so that runs requested by a person come first."""

LIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

ROOM_EVERY_SECONDS = 300.0
ROOM_SECONDS = 30.0
"""A run of several pools starts when all of them are free. Each pool stays free for it only this
long at a time, so that a pool with a hanging run does not block the others."""


def pools_of(run: dg.DagsterRun) -> set[str]:
    """The pools of the assets that a run writes or checks."""
    pools = run.run_op_concurrency.all_pools if run.run_op_concurrency else None
    if pools is not None:
        return set(pools)
    keys = [*(run.asset_selection or ())]
    keys += [check.asset_key for check in run.asset_check_selection or ()]
    assets = [BY_KEY["/".join(key.path)] for key in keys if "/".join(key.path) in BY_KEY]
    tagged = run.tags.get(PLANE_TAG)
    return {asset.pool for asset in assets} or ({tagged} if tagged else set())


def waiting_run(instance: dg.DagsterInstance, pool: str, *, but: str = "") -> str | None:
    """The id of a run, other than `but`, that waits for a pool and should get it now."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=LIVE), limit=100):
        run, age = record.dagster_run, time.time() - record.create_timestamp.timestamp()
        pools = pools_of(run)
        if run.run_id == but or pool not in pools:
            continue
        if len(pools) == 1 or age % ROOM_EVERY_SECONDS < ROOM_SECONDS:
            return run.run_id
    return None


class EventsConfig(dg.Config):
    """Which part of the log a run takes. As it is, a run rebuilds its partition."""

    range: str = Field(
        default="",
        description="Add these sequences of the log, written `first-last`, such as 1-500. They "
        "must lie in the log and in the day of the partition. Empty: rebuild the whole partition "
        "(unless it is to keep going) from the log, and from the other plane where the log has "
        "lost messages.",
    )
    keep_going: bool = Field(
        default=False,
        description="Go on with what follows the range in the partition's day, while messages keep "
        "coming; without a range, with whatever the partition lacks. The sensors ask for this.",
    )
    attempt: int = Field(
        default=1, description="How often this range has been asked for. The sensors count it."
    )
    only_if_broken: bool = Field(
        default=False,
        description="Verify the partition against the log first, and rebuild it only when it is "
        "not complete. The nightly schedules ask for this.",
    )
