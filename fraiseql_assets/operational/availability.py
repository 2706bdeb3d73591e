"""Checks whether a day can be read and written now, before a request that would wait for it.

If a shard is not started, the server responds only after a minute. That is longer than a client
waits, and the response does not name the day.
"""

from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from fraiseql_assets.planes import PlaneUnavailable

STARTING_SECONDS = 5
"""How long an index may take to start, for example after a restart of the server."""

COLUMNS = ["index", "status", "health", "docs.count", "pri.store.size"]


class DayUnavailable(PlaneUnavailable):
    """A day's index is closed, or its shard is not started."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index as the server sees it now."""

    name: str
    closed: bool
    """An operator has closed it, which removes it from every search."""
    started: bool
    """Whether its shard can be read and written."""
    rows: int | None
    """None when it is closed or not started."""
    bytes: int


def index_states(client: Elasticsearch, alias: str) -> list[IndexState]:
    """The indices of an alias.

    Raises:
        NotFoundError: there is no such alias.
    """
    found: Any = client.cat.indices(index=alias, format="json", bytes="b", h=COLUMNS).body
    return [
        IndexState(
            held["index"],
            closed=held["status"] == "close",
            started=held["health"] != "red",
            rows=None if held["docs.count"] is None else int(held["docs.count"]),
            bytes=int(held["pri.store.size"] or 0),
        )
        for held in found
    ]


def require_available(client: Elasticsearch, alias: str) -> None:
    """Returns when the day's index can be read and written.

    Raises:
        DayUnavailable: it cannot; the message names the index and says what to do.
        NotFoundError: there is no such day.
    """
    for may_wait in (True, False):
        unfit = [held for held in index_states(client, alias) if held.closed or not held.started]
        if not unfit:
            return
        if unfit[0].closed:
            raise DayUnavailable(closed_day(unfit[0].name))
        if may_wait:
            client.options(ignore_status=408).cluster.health(
                index=alias, wait_for_status="yellow", timeout=f"{STARTING_SECONDS}s"
            )
            continue
        raise DayUnavailable(
            f"Elasticsearch has not started the index {unfit[0].name}, so its day can be neither "
            "read nor written. `GET /_cluster/allocation/explain` says why. If it cannot be "
            "started, delete the index and materialise its partition."
        )


def refresh(client: Elasticsearch, alias: str) -> None:
    """Makes all documents of a day visible to searches.

    Raises:
        DayUnavailable, NotFoundError: as for `require_available`.
    """
    require_available(client, alias)
    client.indices.refresh(index=alias)


def closed_day(index: str) -> str:
    """The message for a closed index."""
    return (
        f"The index {index} is closed in Elasticsearch. Open it with `POST /{index}/_open`, or "
        "delete it and materialise its partition."
    )
