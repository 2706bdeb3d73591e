"""The nightly schedules: verify yesterday's partitions and delete expired data."""

from datetime import UTC, timedelta

import dagster as dg

from fraiseql_assets.catalogue import Asset
from fraiseql_assets.runs import EventsConfig

VERIFY_CRON = "30 0 * * *"
"""By this time the last events of the day have been written."""
RETENTION_CRON = "50 0 * * *"


def verify_schedule(
    asset: Asset, op: str, job: str, status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """The schedule that verifies an asset's partition of yesterday and rebuilds it if needed."""

    @dg.schedule(
        name=f"{asset.pool}_verify_yesterday",
        job_name=job,
        cron_schedule=VERIFY_CRON,
        execution_timezone="UTC",
        default_status=status,
        description="Verifies yesterday's partition against the log, rebuilds it if it is not "
        "complete, and evaluates every check.",
    )
    def verify_yesterday(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        from fraiseql_assets.planes import PlaneOff
        from fraiseql_assets.settings import get_settings

        if not get_settings().has_plane(asset.plane):
            return dg.SkipReason(str(PlaneOff(asset.plane)))
        yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        return dg.RunRequest(
            run_key=f"{asset.pool}:verify:{yesterday}",
            partition_key=f"{yesterday}",
            run_config=dg.RunConfig(ops={op: EventsConfig(only_if_broken=True)}),
        )

    return verify_yesterday


def retention_schedule(
    job: dg.JobDefinition, status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """The schedule of a retention job."""
    return dg.ScheduleDefinition(
        name=f"{job.name.removesuffix('_job')}_nightly",
        job=job,
        cron_schedule=RETENTION_CRON,
        execution_timezone="UTC",
        default_status=status,
        description=job.description,
    )
