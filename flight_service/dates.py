"""Dates and times in tickets."""

import re
from datetime import UTC, date, datetime, time, timedelta

from flight_service.errors import InvalidRequest
from flight_service.tickets import shown

EARLIEST = date(1900, 1, 1)
LATEST = date(2299, 12, 31)
"""No event can be of a day before or after: the decoder refuses it."""

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


def beginning(text: str | None, field: str) -> datetime | None:
    """The moment from which on a range reaches: a date's midnight (UTC), or a time itself.

    Raises:
        InvalidRequest: the text is neither a date nor an RFC 3339 time.
    """
    if text is None:
        return None
    found = _parse(text, field)
    return found if isinstance(found, datetime) else datetime.combine(found, time.min, UTC)


def ending(text: str | None, field: str) -> datetime | None:
    """The moment before which a range ends: after all of a date's day (UTC), or a time itself.

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
        # Python reads more forms of ISO 8601, in which a date would pass for a time.
        if not _DATED.match(text):
            raise ValueError(text)
        found = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"The ticket's field {field} is {shown(text)}. Write a date, such as 2026-01-31, or an "
            "RFC 3339 time, such as 2026-01-31T12:00:00Z."
        ) from error
    if not EARLIEST <= date(found.year, found.month, found.day) <= LATEST:
        raise InvalidRequest(f"The ticket's field {field} lies outside {EARLIEST} to {LATEST}.")
    if isinstance(found, datetime):
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    return found
