"""The nightly job that deletes expired data: days of the planes, and runs of Dagster."""

from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from fraiseql_assets.catalogue import (
    ANALYTICS_EVENTS,
    ASSETS,
    OPERATIONAL_EVENTS,
    OPERATIONAL_REQUESTS,
    Asset,
)
from fraiseql_assets.resources import ClickHouse, Elasticsearch, RunHistory, settings_of

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
PAGE = 500


def _retention(asset: Asset) -> dg.OpDefinition:
    @dg.op(
        name=f"{asset.pool}_retention",
        description=f"Deletes days of {asset.key} that are past their retention.",
        pool=asset.pool,
    )
    def enforce(
        context: dg.OpExecutionContext, clickhouse: ClickHouse, elasticsearch: Elasticsearch
    ) -> None:
        from fraiseql_assets.datasets import DATASETS
        from fraiseql_assets.setup import open_plane

        settings, dataset = settings_of(clickhouse, elasticsearch), DATASETS[asset.dataset]
        with closing(open_plane(asset.plane, settings, dataset)) as plane:
            for line in plane.enforce_retention(datetime.now(UTC).date()):
                context.log.info(f"{asset.plane} {line}")

    return enforce


def _retention_job(asset: Asset) -> dg.JobDefinition:
    op = _retention(asset)
    return dg.GraphDefinition(f"{asset.pool}_retention_job", node_defs=[op]).to_job(
        description=op.description
    )


@dg.op(description="Deletes runs that ended before FRAISEQL_RUN_HISTORY_DAYS.")
def delete_old_runs(context: dg.OpExecutionContext, run_history: RunHistory) -> None:
    """Deletes old runs, except those that materialised a partition last."""
    before = datetime.now(UTC) - timedelta(days=run_history.kept_days())
    deleted = delete_runs(context.instance, before)
    context.log.info(f"{deleted} runs deleted that ended before {before:%Y-%m-%d}")


@dg.job(description="Deletes Dagster's runs that are past their retention.")
def run_history() -> None:
    delete_old_runs()


def delete_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Deletes runs that have ended and were created before a given time.

    The last run that materialised a partition is kept, so that the partition keeps its state.
    Returns how many were deleted.
    """
    kept = _last_materialisations(instance)
    old = dg.RunsFilter(statuses=ENDED, created_before=before)
    ids = [run_id for run_id in instance.get_run_ids(old) if run_id not in kept]
    for run_id in ids:
        _delete(instance, run_id)
    return len(ids)


def _last_materialisations(instance: dg.DagsterInstance) -> set[str]:
    """The ids of the last run that materialised each partition of an asset."""
    found: set[str] = set()
    for asset in ASSETS:
        ids = instance.event_log_storage.get_latest_storage_id_by_partition(
            dg.AssetKey(asset.path), dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        numbers = list(ids.values())
        for start in range(0, len(numbers), PAGE):
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(
                    asset_key=dg.AssetKey(asset.path), storage_ids=numbers[start : start + PAGE]
                ),
                limit=PAGE,
            ).records
            found |= {record.run_id for record in records}
    return found


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    """Deletes a run with its events and captured output."""
    storage = instance.event_log_storage
    instance.delete_run(run_id)
    with suppress(NotImplementedError):
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    if isinstance(storage, SqliteEventLogStorage):
        # `delete_run` leaves the run's own database at its full size.
        for file in Path(storage.path_for_shard(run_id)).parent.glob(f"{run_id}.db*"):
            file.unlink(missing_ok=True)


RETENTION_JOBS = [
    _retention_job(ANALYTICS_EVENTS),
    _retention_job(OPERATIONAL_EVENTS),
    _retention_job(OPERATIONAL_REQUESTS),
    run_history,
]
