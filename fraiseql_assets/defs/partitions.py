"""The partitions of every event asset: UTC days, by the time JetStream stored the message."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from fraiseql_assets.settings import get_settings


def _first_day() -> date:
    """The first partition: the setting, which the code server finds where it is not set.

    Loaded by another server than the project's own, the oldest day that the planes may hold.
    """
    settings = get_settings()
    oldest = datetime.now(UTC).date() - timedelta(days=settings.retention_raw_days)
    return settings.first_day or oldest


FIRST_DAY = _first_day()

# end_offset=1: without it the current day, which is being filled, would not exist.
DAILY = dg.DailyPartitionsDefinition(start_date=f"{FIRST_DAY}", timezone="UTC", end_offset=1)


def day_of(partition_key: str) -> date:
    """The UTC day of a partition key."""
    return date.fromisoformat(partition_key)
