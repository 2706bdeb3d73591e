"""Counts the rows of several days that pass a filter, in one request."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from elasticsearch import Elasticsearch

from fraiseql_assets.operational.availability import IndexState, require_available
from fraiseql_assets.operational.indices import Names

MOST_DAYS = 65_536
"""The default limit of groups that the server counts in one request."""


def rows_by_day(
    client: Elasticsearch, names: Names, days: Mapping[date, IndexState], condition: dict[str, Any]
) -> dict[date, int]:
    """The rows of the days that meet a condition. A day without matching rows is omitted.

    Raises:
        DayUnavailable: the index of a day is not started.
    """
    for day, held in days.items():
        if not held.started:
            require_available(client, names.day(day))
    if not days:
        return {}
    # Closed days are skipped.
    client.indices.refresh(index=names.all_days, ignore_unavailable=True)
    found = client.search(
        index=names.all_days,
        ignore_unavailable=True,
        size=0,
        query={"bool": {"filter": [condition]}},
        aggs={"days": {"terms": {"field": "_index", "size": MOST_DAYS}}},
        # A shard that fails is an error, not fewer rows.
        allow_partial_search_results=False,
        filter_path="aggregations",
    )
    groups: list[dict[str, Any]] = found.get("aggregations", {}).get("days", {}).get("buckets", [])
    counted = {names.day_of(group["key"]): int(group["doc_count"]) for group in groups}
    return {day: counted[day] for day in days if day in counted}
