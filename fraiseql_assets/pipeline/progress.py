"""The progress of the log and of each plane, read from their servers."""

from dataclasses import dataclass
from datetime import UTC, datetime

from fraiseql_assets.datasets import Dataset
from fraiseql_assets.pipeline.pending import (
    beyond_log,
    different_log,
    lost_sentence,
    lost_unread,
    uncommitted,
)
from fraiseql_assets.planes import LedgerEntry, Plane, PlaneError, committed_ranges
from fraiseql_assets.ranges import SequenceRange, merge
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.stream.log import Log


@dataclass(frozen=True, slots=True)
class LogStatus:
    """The head of a dataset's log. `error` is set if the log could not be queried."""

    stream: str
    first: int = 0
    last: int = 0
    newest: int = 0
    """The sequence of the newest message that the log still holds."""
    messages: int = 0
    bytes: int = 0
    dead_letters: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PlaneStatus:
    """The progress of a plane. `position` is the sequence up to which nothing is missing."""

    plane: str
    position: int = 0
    behind: int = 0
    """Sequences in the log that the plane has not committed."""
    lost: str | None = None
    """Which messages the log has dropped before the plane read them, and what to do."""
    rows: int = 0
    """Rows in committed ranges."""
    begun: tuple[str, ...] = ()
    last_commit: str | None = None
    error: str | None = None
    off: bool = False
    """The plane is switched off by a setting."""


def log_status(dataset: Dataset, settings: Settings, *, writes: bool) -> LogStatus:
    """The head of the log. With `writes`, also tests whether NATS can store messages."""
    stream = dataset.stream(settings)
    try:
        with Log(settings, name="fraiseql-assets status", dataset=dataset) as log:
            # Messages published in between count as not read yet, never as lost.
            bounds, newest = log.bounds(), log.newest()
            dead_letters = log.count_dead_letters()
            if writes:
                log.probe_write()
    except LogError as error:
        return LogStatus(stream, error=str(error))
    return LogStatus(
        stream, bounds.first, bounds.last, newest, bounds.messages, bounds.bytes, dead_letters
    )


def plane_status(plane: Plane, log: LogStatus, settings: Settings) -> PlaneStatus:
    """How far a plane is behind a log status that was read before. Closes the plane."""
    try:
        plane.ping()
        entries = plane.ledger(log.stream)
        if not log.error and beyond_log(log.last, entries):
            # The log was read before the ledger and may have grown since.
            again = log_status(plane.dataset, settings, writes=False)
            ahead = None if again.error else beyond_log(again.last, entries)
            if ahead:
                return PlaneStatus(plane.name, error=different_log(plane.name, log.stream, ahead))
    except PlaneError as error:
        return PlaneStatus(plane.name, error=str(error))
    finally:
        plane.close()
    return _status(plane.name, log, entries)


def _status(plane: str, log: LogStatus, entries: list[LedgerEntry]) -> PlaneStatus:
    committed = [entry for entry in entries if entry.state == "committed"]
    missing = uncommitted(log.first, log.last, entries)
    lost = lost_unread(log.newest, missing)
    ranges = merge(committed_ranges(entries))
    newest = max((entry.at for entry in committed), default=None)
    return PlaneStatus(
        plane,
        position=_position(ranges, missing),
        behind=sum(map(len, missing)) - sum(map(len, lost)),
        lost=lost_sentence(plane, log.stream, lost) if lost else None,
        rows=sum(entry.rows for entry in committed),
        begun=tuple(str(entry.range) for entry in entries if entry.state == "begun"),
        last_commit=newest.isoformat(timespec="seconds") if newest else None,
    )


def _position(ranges: list[SequenceRange], missing: list[SequenceRange]) -> int:
    if missing:
        return missing[0].first - 1
    return ranges[-1].last if ranges else 0


def oldest_missing(dataset: Dataset, settings: Settings, status: PlaneStatus) -> datetime | None:
    """When the log stored the oldest message that a plane has not committed, None if none.

    Raises:
        LogError: the log cannot be queried.
    """
    if not status.behind:
        return None
    with Log(settings, name="fraiseql-assets status", dataset=dataset) as log:
        return log.stored_at(status.position + 1)


def age_of(stored: datetime | None) -> float:
    """The age of a message in seconds; 0 for None."""
    return 0.0 if stored is None else max(0.0, (datetime.now(UTC) - stored).total_seconds())
