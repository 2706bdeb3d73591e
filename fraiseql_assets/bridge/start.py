"""Where a bridge begins that has no position."""

from enum import StrEnum


class Start(StrEnum):
    """Where a bridge begins that has no position."""

    beginning = "beginning"
    """With the oldest row."""
    now = "now"
    """With rows that are committed from now on."""
