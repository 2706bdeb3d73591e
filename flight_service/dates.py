"""Dates and times in tickets."""

import re
from datetime import UTC, date, datetime, time, timedelta

from flight_service.errors import InvalidRequest
from flight_service.tickets import shown
from fraiseql_assets.events.columns import EARLIEST, LATEST

FIRST_DAY, LAST_DAY = EARLIEST.date(), LATEST.date()

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


def outside_days(field: str) -> InvalidRequest:
    """The error about a field whose day no event can have."""
    return InvalidRequest(f"The ticket's field {field} lies outside {FIRST_DAY} to {LAST_DAY}.")


def beginning(text: str | None, field: str) -> datetime | None:
    """The start of a range: midnight (UTC) of a date, or a time itself.

    Raises:
        InvalidRequest: the text is neither a date nor an RFC 3339 time.
    """
    if text is None:
        return None
    found = _parse(text, field)
    return found if isinstance(found, datetime) else datetime.combine(found, time.min, UTC)


def ending(text: str | None, field: str) -> datetime | None:
    """The exclusive end of a range: the end of a date's day (UTC), or a time itself.

    Raises:
        InvalidRequest: the text is neither a date nor an RFC 3339 time.
    """
    if text is None:
        return None
    found = _parse(text, field)
    if isinstance(found, datetime):
        return found
    return datetime.combine(found + timedelta(days=1), time.min, UTC)


def _parse(text: str, field: str) -> date | datetime:
    try:
        # Python accepts more forms of ISO 8601, some of which would make a date a time.
        if not _DATED.match(text):
            raise ValueError(text)
        found = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"The ticket's field {field} is {shown(text)}. Write a date, such as 2026-01-31, or an "
            "RFC 3339 time, such as 2026-01-31T12:00:00Z."
        ) from error
    if not FIRST_DAY <= date(found.year, found.month, found.day) <= LAST_DAY:
        raise outside_days(field)
    if isinstance(found, datetime):
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    return found
