"""The daily look back: yesterday's partition of each plane is verified, and rebuilt if broken."""

from datetime import UTC, timedelta

import dagster as dg

from fraiseql_assets.runs import EventsConfig

MINUTES_PAST_MIDNIGHT = 30
"""By then the last events of the day have long been taken up."""


def heal_schedule(plane: str, op: str, job: str) -> dg.ScheduleDefinition:
    """The schedule that verifies a plane's yesterday and heals it."""

    @dg.schedule(
        name=f"{plane}_verify_yesterday",
        job_name=job,
        cron_schedule=f"{MINUTES_PAST_MIDNIGHT} 0 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Verifies yesterday's partition against the log and rebuilds it if it is not "
        "whole; drops days past their retention where the server does not.",
    )
    def verify_yesterday(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        from fraiseql_assets.planes import PlaneOff
        from fraiseql_assets.settings import get_settings

        if not get_settings().has_plane(plane):
            return dg.SkipReason(str(PlaneOff(plane)))
        yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        return dg.RunRequest(
            run_key=f"{plane}:verify:{yesterday}",
            partition_key=f"{yesterday}",
            run_config=dg.RunConfig(ops={op: EventsConfig(only_if_broken=True)}),
        )

    return verify_yesterday
