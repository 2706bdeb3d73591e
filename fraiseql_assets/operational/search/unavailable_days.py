"""The days that a search cannot reach now: closed, or not started."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from http import HTTPStatus
from typing import Any

from elasticsearch import ApiError, Elasticsearch, NotFoundError

from fraiseql_assets.operational.availability import index_states
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.operational.search.request import SearchRequest
from fraiseql_assets.planes import PlaneUnavailable

SHOWN = 5
CLOSED = " (closed)"
"""Behind the name of a day whose index an operator has closed."""


class NotAllSearched(PlaneUnavailable):
    """Nothing was found, and some days could not be searched, so it may be there."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(
            f"Nothing is found in the days that were searched. {not_searched(missing)}"
        )


def not_started(client: Elasticsearch, names: Sequence[Names]) -> list[str]:
    """The days whose index has not started, as `events of 2026-01-31`, ascending."""
    missing: list[str] = []
    for each in names:
        try:
            states = index_states(client, each.all_days)
        except NotFoundError:
            continue
        lost = [held.name for held in states if not held.closed and not held.started]
        missing += [f"{each.dataset} of {each.day_of(index)}" for index in sorted(lost)]
    return missing


def has_open_day(client: Elasticsearch, names: Sequence[Names]) -> bool:
    """Whether there is an index that is not closed."""
    found = _aliases(client, names, "open")
    return any(each.all_days in held["aliases"] for each in names for held in found.values())


def closed(client: Elasticsearch, names: Sequence[Names], request: SearchRequest) -> list[str]:
    """The closed days that may hold what is searched, such as `events of 2026-01-31 (closed)`,
    ascending. The server passes them over in every search and does not say so.

    A row is stored on the day of its time or later, and no earlier but for a clock that is wrong,
    so one more day is looked at.
    """
    first = request.since and request.since.astimezone(UTC).date() - timedelta(days=1)
    found = _aliases(client, names, "closed")
    missing: list[str] = []
    for each in names:
        days = [each.day_of(index) for index in found if each.all_days in found[index]["aliases"]]
        missing += [
            f"{each.dataset} of {day}{CLOSED}"
            for day in sorted(filter(None, days))
            if first is None or day >= first
        ]
    return missing


def _aliases(client: Elasticsearch, names: Sequence[Names], state: str) -> dict[str, Any]:
    """The aliases of the indices that are `open`, or `closed`."""
    patterns = ",".join(f"{each.all_days}-*" for each in names)
    # Answered from the state of the cluster: no shard is asked.
    return client.indices.get_alias(index=patterns, expand_wildcards=state).body


def leave_out(missing: list[str], request: SearchRequest) -> list[str]:
    """The same days, which a partial search leaves out.

    Raises:
        PlaneUnavailable: there are some, and the search is not partial.
    """
    if missing and not request.partial:
        raise PlaneUnavailable(
            f"{not_searched(missing)} A search with `partial` answers from the other days."
        )
    return missing


def after_failure(
    client: Elasticsearch, names: Sequence[Names], request: SearchRequest, error: ApiError
) -> list[str]:
    """The days that cannot be searched now and that a partial search leaves out, after the server
    could not search all days.

    Raises:
        PlaneUnavailable: there are such days, and the search is not partial.
        ApiError: they are not the cause of the error.
    """
    if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    missing = not_started(client, names)
    if not missing:
        raise error
    try:
        return leave_out(missing, request)
    except PlaneUnavailable as unavailable:
        raise unavailable from error


def require_named(
    client: Elasticsearch, names: Sequence[Names], missing: list[str], found: dict[str, Any]
) -> list[str]:
    """The days that a response omits.

    Raises:
        PlaneUnavailable: the response omits days that are not known.
    """
    failed = found["_shards"]["failed"]
    if failed > len(missing):
        missing = not_started(client, names)
    if failed > len(missing):
        raise PlaneUnavailable(
            f"Elasticsearch has searched only a part, and does not say which days it left out "
            f"({failed} of {found['_shards']['total']} shards). Try again."
        )
    return missing


def require_found(missing: list[str]) -> list[str]:
    """The same days, if there are none.

    Raises:
        NotAllSearched: there are some, and what was not found may be there.
    """
    if missing:
        raise NotAllSearched(missing)
    return missing


def not_searched(missing: Sequence[str]) -> str:
    """A sentence on days that are not searched, and what to do."""
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    advice: list[str] = []
    if any(not day.endswith(CLOSED) for day in missing):
        advice.append(
            "Elasticsearch has not started the index. Try again soon; "
            "`GET /_cluster/allocation/explain` says why it has not."
        )
    if any(day.endswith(CLOSED) for day in missing):
        advice.append("A closed index is opened with `POST /<index>/_open`.")
    return f"Not searched: {', '.join(missing[:SHOWN])}{more}. {' '.join(advice)}"
