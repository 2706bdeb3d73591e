"""Compares what the planes hold with what was published."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from fraiseql_assets.settings import Settings
from tests.clickhouse_requests import ask_clickhouse

SECONDS = 60
PAGE = 5_000

# For each aggregate: the view, and an independent query that computes the same from raw rows.
AGGREGATES = {
    "events_hourly": (
        "SELECT hour, entity_type, event_type, event_count, unique_entities "
        "FROM fraiseql_events_hourly",
        "SELECT toStartOfHour(timestamp) AS hour, entity_type, event_type, count(), "
        "uniq(entity_id) FROM fraiseql_events GROUP BY ALL",
    ),
    "org_daily": (
        "SELECT day, tenant_id, event_count, unique_entities, unique_users, "
        "arrayStringConcat(entity_types, ','), created_count, updated_count, deleted_count "
        "FROM fraiseql_org_daily",
        "SELECT toDate32(timestamp) AS day, tenant_id, count(), "
        "uniq((toString(entity_type), entity_id)), uniq(user_id), "
        "arrayStringConcat(arraySort(groupUniqArray(toString(entity_type))), ','), "
        "sum(event_type = 'INSERT'), sum(event_type = 'UPDATE'), sum(event_type = 'DELETE') "
        "FROM fraiseql_events GROUP BY day, tenant_id",
    ),
    "event_type_stats": (
        "SELECT hour, event_type, event_count, unique_entities, toString(first_seen), "
        "toString(last_seen), round(mean_duration_ms, 3), max_duration_ms "
        "FROM fraiseql_event_type_stats",
        "SELECT toStartOfHour(timestamp) AS hour, event_type, count(), "
        "uniq((toString(entity_type), entity_id)), toString(min(timestamp)), "
        "toString(max(timestamp)), round(avg(duration_ms), 3), max(duration_ms) "
        "FROM fraiseql_events GROUP BY hour, event_type",
    ),
}


@dataclass(slots=True)
class PublishedEvents:
    """The events published to one stack, in all of its trials."""

    ids: set[str] = field(default_factory=set)

    def differences(self, settings: Settings) -> list[str]:
        """Every missing, duplicate, unknown or wrong entry in both planes and the aggregates."""
        return [
            *_difference("analytics", self.ids, analytics_ids(settings)),
            *_difference("operational", self.ids, operational_ids(settings)),
            *_wrong_aggregates(settings),
        ]


def _difference(plane: str, expected: set[str], held: Counter[str]) -> Iterator[str]:
    for wrong, ids in (
        ("lacks", expected - held.keys()),
        ("holds twice", {event for event, count in held.items() if count > 1}),
        ("holds an event that was not published", held.keys() - expected),
    ):
        for event in sorted(ids):
            yield f"{plane} {wrong}: {event}"


def _wrong_aggregates(settings: Settings) -> Iterator[str]:
    for name, (view, raw) in AGGREGATES.items():
        kept, computed = set(rows(settings, view)), set(rows(settings, raw))
        for row in sorted(kept - computed):
            yield f"{name} has a wrong row: {row}"
        for row in sorted(computed - kept):
            yield f"{name} lacks the row: {row}"


def rows(settings: Settings, statement: str) -> list[str]:
    """Executes a statement. Returns one line of text per row."""
    url = settings.clickhouse_url.get_secret_value()
    return ask_clickhouse(url, f"{statement} FORMAT TSV", seconds=SECONDS).splitlines()


def analytics_ids(settings: Settings) -> Counter[str]:
    """The event ids in ClickHouse, with the number of rows of each."""
    statement = "SELECT event_id, count() FROM fraiseql_events GROUP BY event_id"
    return Counter({event: int(n) for event, n in map(str.split, rows(settings, statement))})


def operational_ids(settings: Settings) -> Counter[str]:
    """The event ids in Elasticsearch, with the number of documents of each."""
    url = f"{settings.elasticsearch_url.get_secret_value()}/{settings.index_prefix}-events"
    requests.post(f"{url}/_refresh", timeout=SECONDS)
    found: Counter[str] = Counter()
    page: dict[str, Any] = {
        "size": PAGE,
        "_source": ["event_id"],
        "sort": [{"stream_seq": "asc"}, {"stream_row": "asc"}],
        "query": {"match_all": {}},
    }
    while True:
        answer = requests.post(f"{url}/_search", json=page, timeout=SECONDS)
        assert answer.ok, answer.text
        hits = answer.json()["hits"]["hits"]
        found.update(hit["_source"]["event_id"] for hit in hits)
        if len(hits) < PAGE:
            return found
        page["search_after"] = hits[-1]["sort"]
