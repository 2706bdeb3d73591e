"""Deletes old sensor ticks that requested nothing, which Dagster itself keeps for days."""

import time
from collections.abc import Collection

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from fraiseql_assets.settings import get_settings

TICK_SECONDS = 600


def tick_history_sensor(
    names: Collection[str], status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """The sensor that deletes old skipped ticks of the sensors with these names, and its own."""

    @dg.sensor(
        name="tick_history",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=status,
        description="Deletes ticks that requested nothing after FRAISEQL_TICK_HISTORY_HOURS.",
    )
    def tick_history(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        hours = get_settings().tick_history_hours
        own = {*names, "tick_history"}
        delete_skipped_ticks(context.instance, context.repository_name, own, hours=hours)
        return dg.SkipReason(f"Skipped ticks older than {hours:g} hours are deleted.")

    return tick_history


def delete_skipped_ticks(
    instance: dg.DagsterInstance, repository: str | None, names: Collection[str], *, hours: float
) -> None:
    """Deletes skipped ticks of a repository's sensors that started more than `hours` ago.

    Other sensors of the instance may belong to others, and keep theirs.
    """
    before = time.time() - 3600 * hours
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
        origin = state.origin
        if (
            state.instigator_name in names
            and origin.repository_origin.repository_name == repository
        ):
            instance.purge_ticks(origin.get_id(), state.selector_id, before, [TickStatus.SKIPPED])
