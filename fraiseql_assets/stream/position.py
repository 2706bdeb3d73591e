"""Positions in the log: sequences, and the UTC days on which messages were stored."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class Bounds:
    """The sequences and size of a stream."""

    first: int
    """The first sequence in the stream; `last` + 1 if the stream is empty."""
    last: int
    """The last sequence ever assigned, 0 if none was."""
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LogPosition:
    """The sequence of a message and the UTC day on which it was stored."""

    sequence: int
    day: date


def midnight(day: date) -> datetime:
    """The start of a UTC day."""
    return datetime.combine(day, time.min, UTC)


def utc_day(nanoseconds: int) -> date:
    """The UTC day of a time in nanoseconds since the epoch."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=nanoseconds // 10**9)).date()
