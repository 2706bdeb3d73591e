"""The parts of large results of the catalogue `analytics`: ranges of the days of events.

ClickHouse stores the events of each day in a partition of its own. A part reads whole days, and the
first and the last part have no other bound, so each event is in one part, also if it is stored
after the parts were made. ClickHouse replaces a day that is rebuilt in one step, so a part has
either the old or the new rows of a day.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from time import monotonic
from typing import Any

from flight_service.dates import FIRST_DAY, LAST_DAY
from flight_service.sql.catalogue import ByDay, DayRange
from fraiseql_assets.analytics.statements import (
    FIRST_TIME,
    LAST_TIME,
    NARROW,
    OF_DAYS,
    AnalyticsStatements,
    StatementLimited,
    StatementRefused,
)
from fraiseql_assets.catalogue import ANALYTICS_EVENTS
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Settings

HELD_SECONDS = 60.0
"""How long the numbers of events are cached."""
COUNTED_ROWS = 20_000_000
COUNTED_SECONDS = 2.0
"""The limits of a count of a statement's rows. A statement that reads more rows is large."""


class EventDays:
    """Divides results by the days of events. Thread-safe."""

    def __init__(self, statements: AnalyticsStatements, settings: Settings) -> None:
        self._statements = statements
        self._rows = settings.sql_parallel_rows
        self._most = settings.sql_parallel_endpoints
        if settings.is_guarded:
            # A principal can read all parts at once.
            self._most = min(self._most, settings.principal_streams)
        self._lock = threading.Lock()
        self._held: tuple[float, dict[date, int]] | None = None

    def division(self, tenant: str | None) -> ByDay:
        """How the events divide that a principal may read."""
        return ByDay(
            select=self._statements.select(ANALYTICS_EVENTS.key, tenant, OF_DAYS),
            day="stream_time",
            counted=NARROW,
            is_whole=tenant is None,
        )

    def ranges(self, count: str | None, values: Mapping[str, Any]) -> Sequence[DayRange]:
        """See `flight_service.sql.catalogue.DivisibleExecution.day_ranges`. `count` is the SQL that
        counts the statement's rows by days, None if these are all events."""
        if self._most == 1:
            return ()
        try:
            rows = self._stored()
            if count is not None and sum(rows.values()) >= self._rows:
                counted = self._statements.counts(
                    count, values, most_rows=COUNTED_ROWS, seconds=COUNTED_SECONDS
                )
                rows = rows if counted is None else counted
        except (StatementRefused, StatementLimited, PlaneError):
            # Reading the result tells the client what is wrong.
            return ()
        return divided(rows, self._most) if sum(rows.values()) >= self._rows else ()

    def _stored(self) -> dict[date, int]:
        with self._lock:
            if self._held is not None and monotonic() - self._held[0] < HELD_SECONDS:
                return self._held[1]
        rows = self._statements.rows_by_day()
        with self._lock:
            self._held = monotonic(), rows
        return rows


def divided(rows: Mapping[date, int], most: int) -> tuple[DayRange, ...]:
    """At most so many ranges of days, with about equal numbers of rows: from the first possible day
    to the last without a gap. Empty if there is only one range."""
    days, total = sorted(rows), sum(rows.values())
    ends: list[date] = []
    taken = reached = 0
    for day in days[:-1]:
        taken += rows[day]
        share = taken * most // total
        if reached < share < most:
            ends.append(day)
            reached = share
    if not ends:
        return ()
    firsts = (FIRST_DAY, *(end + timedelta(days=1) for end in ends))
    return tuple(map(DayRange, firsts, (*ends, LAST_DAY)))


def bound_days(days: DayRange) -> dict[str, str]:
    """The values of `OF_DAYS` for a range of days."""
    first, last = datetime.combine(days.first, time.min), datetime.combine(days.last, time.max)
    return {FIRST_TIME: _text(first), LAST_TIME: _text(last)}


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
