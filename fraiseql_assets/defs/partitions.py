"""The partitions of the assets: UTC days, by the time when JetStream stored the message."""

from datetime import UTC, date, datetime, timedelta
from typing import cast

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from fraiseql_assets.settings import get_settings


def _first_day() -> date:
    """The first partition, from the setting. The project's code server sets it if it is not set.

    In another code server, it is the oldest day that the planes may hold.
    """
    settings = get_settings()
    oldest = datetime.now(UTC).date() - timedelta(days=settings.retention_raw_days)
    return settings.first_day or oldest


FIRST_DAY = _first_day()

# end_offset=1 includes the current day, which is still being filled.
DAILY = dg.DailyPartitionsDefinition(start_date=f"{FIRST_DAY}", timezone="UTC", end_offset=1)


def day_of(partition_key: str) -> date:
    """The UTC day of a partition key."""
    return date.fromisoformat(partition_key)


def name_partition(run: dg.DagsterRun) -> None:
    """Gives a run over a range of one partition the name of that partition, in this process.

    A backfill with a policy requests ranges, also of one partition. Dagster records the results of
    their checks without a partition, and the UI then shows none for it.
    """
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG)
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first and first == last:
        # Not stored with the run: Dagster refuses to retry a run that has both tags.
        cast("dict[str, str]", run.tags)[PARTITION_NAME_TAG] = first
