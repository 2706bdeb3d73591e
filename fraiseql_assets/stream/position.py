"""Positions in the log: sequences, and the UTC days on which messages were stored."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a stream holds."""

    first: int
    """The first sequence there is; one past `last` in an empty stream."""
    last: int
    """The last sequence ever assigned, 0 when none was."""
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A message's sequence and the UTC day it was stored on."""

    sequence: int
    day: date


def midnight(day: date) -> datetime:
    """The moment a UTC day begins."""
    return datetime.combine(day, time.min, UTC)


def utc_day(nanoseconds: int) -> date:
    """The UTC day of a time in nanoseconds since the epoch."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=nanoseconds // 10**9)).date()
