"""The partitions of every event asset: UTC days, by the time JetStream stored the message."""

from datetime import date

import dagster as dg

FIRST_DAY = date(2026, 1, 1)
"""The earliest day the UI offers. Days before it are of a time before this project."""

# end_offset=1: without it the current day, which is being filled, would not exist.
DAILY = dg.DailyPartitionsDefinition(start_date=f"{FIRST_DAY}", timezone="UTC", end_offset=1)


def day_of(partition_key: str) -> date:
    """The UTC day of a partition key."""
    return date.fromisoformat(partition_key)
