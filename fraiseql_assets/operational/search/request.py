"""The parameters of a search, validated before any request is sent."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from fraiseql_assets.operational.search.syntax import ParsedQuery, parse

MOST_HITS = 10_000
"""The server's limit of documents in a response."""

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


class SearchMistake(ValueError):
    """The parameters of a search are invalid or contradictory; the message says which."""


class Kinds(StrEnum):
    """What is searched."""

    both = "both"
    events = "events"
    requests = "requests"


class Counts(StrEnum):
    """What hits are counted by."""

    error = "error"
    type = "type"
    hour = "hour"
    tenant = "tenant"
    operation = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A search. Conditions are combined with AND. Without conditions it matches everything, newest
    first.

    Raises, when constructed:
        SearchMistake, QueryMistake: it is invalid; the message says what is valid.
    """

    query: str = ""
    kinds: Kinds = Kinds.both
    since: datetime | None = None
    """Included."""
    until: datetime | None = None
    """Excluded."""
    tenant: str | None = None
    entity: str | None = None
    """An entity's id: its events, and the requests that mention it."""
    entity_type: str | None = None
    event_type: str | None = None
    id: str | None = None
    """Any id: everything that has or mentions it."""
    failed: bool = False
    """Only requests with errors."""
    similar: str | None = None
    """The id of a request: finds similar failed requests, the most similar first."""
    oldest_first: bool = False
    limit: int = 100
    cursor: str | None = None
    """The cursor of an earlier page of the same search."""
    partial: bool = False
    """Answer from the other days if a day cannot be searched, and name it."""
    parsed: ParsedQuery = field(init=False, repr=False, compare=False)
    """The query string, parsed."""

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST_HITS:
            raise SearchMistake(f"limit is {self.limit}; it is from 1 to {MOST_HITS:,}.")
        if self.since and self.until and self.since >= self.until:
            raise SearchMistake(f"since, {self.since}, is not before until, {self.until}.")
        for name in ("id", "entity", "similar"):
            if getattr(self, name) == "":
                raise SearchMistake(f"{name} is empty; it is an id.")
        if self.similar and self.query:
            raise SearchMistake("similar and a query exclude each other; take one of them.")
        object.__setattr__(self, "parsed", parse(self.query))


def moment(text: str | None, name: str, now: datetime | None = None) -> datetime | None:
    """Parses a time: an age (`1h`), a date (its start), or an RFC 3339 time.

    Raises:
        SearchMistake: it is none of them.
    """
    if not text:
        return None
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            seconds = int(ago[1]) * _SECONDS[ago[2]]
            return (now or datetime.now(UTC)) - timedelta(seconds=seconds)
        if not _DATED.match(text):
            raise ValueError(text)
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time.min, UTC)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SearchMistake(
            f"{name} is {text[:40]!r}. Write how long ago, such as 30m, 1h or 7d, a date such as "
            "2026-01-31, or an RFC 3339 time such as 2026-01-31T12:00:00Z."
        ) from error
