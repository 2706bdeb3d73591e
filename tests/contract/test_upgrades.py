"""Data of earlier releases: `setup` migrates it in place, and what it held is read unchanged.

`tests/data/releases` holds each release's tables, indices and streams, and forty events as its own
code wrote them. docs/upgrading.md says what an upgrade takes.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from clickhouse_connect.driver.client import Client
from log_messages import store_events
from nats.js.api import StreamConfig

from fraiseql_assets.analytics.client import connect as connect_clickhouse
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.analytics.setup import quoted
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.planes import AssetReader, Plane
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import setup_all
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.log import Log

RELEASES = Path(__file__).parents[1] / "data" / "releases"
EVENTS: list[dict[str, Any]] = [
    json.loads(line) for line in (RELEASES / "events.ndjson").read_text().splitlines()
]
"""The events as columns of the first release's table."""
LEDGER = [json.loads(line) for line in (RELEASES / "ledger.ndjson").read_text().splitlines()]
DAYS = [date.fromisoformat(entry["day"]) for entry in LEDGER]
KEPT_DAYS = 30_000
"""As in the tables of the fixtures, so that no retention deletes events of a fixed day."""
FIRST = "2026-11-24"
every_release = pytest.mark.parametrize("installed", [FIRST, "2026-11-26"], indirect=True)
FIRST_NEW = len(EVENTS) + 1
LIVE_INDEX = "-000001"

READERS = {"analytics": AnalyticsReader, "operational": OperationalReader}


@dataclass(frozen=True, slots=True)
class Installed:
    """An earlier release, installed and filled."""

    settings: Settings
    clickhouse: Client
    search: str
    """The address of the search engine."""

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Inserts rows as the release did, which knew its own columns only."""
        self.clickhouse.raw_insert(
            table,
            column_names=list(rows[0]),
            insert_block="\n".join(map(json.dumps, rows)),
            fmt="JSONEachRow",
            settings={"async_insert": 0},
        )

    def index(self, documents: str) -> None:
        """Sends a `_bulk` body of the release."""
        body = documents.replace("fraiseql-", f"{self.settings.index_prefix}-")
        answer = requests.post(
            f"{self.search}/_bulk?refresh=true",
            data=body.encode(),
            headers={"Content-Type": "application/x-ndjson"},
            timeout=60,
        ).json()
        assert not answer["errors"], answer

    def put(self, path: str, body: Any) -> None:
        requests.put(f"{self.search}/{path}", json=body, timeout=60).raise_for_status()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"retention_raw_days": KEPT_DAYS, "retention_aggregate_days": KEPT_DAYS}
    )


@pytest.fixture
def installed(
    request: pytest.FixtureRequest, settings: Settings, elasticsearch_url: str
) -> Iterator[Installed]:
    if request.config.getoption("--search") == "opensearch":
        pytest.skip("The indices of earlier releases have types that Elasticsearch alone knows.")
    with closing(connect_clickhouse(settings, timeout=60, database="default")) as client:
        database = settings.clickhouse_url.get_secret_value().rpartition("/")[2]
        client.command(f"CREATE DATABASE {quoted(database)}")
        client.database = database
        release = Installed(settings, client, elasticsearch_url)
        make_tables(release, getattr(request, "param", FIRST))
        make_indices(release)
        asyncio.run(make_streams(settings))
        yield release


def make_tables(release: Installed, name: str) -> None:
    statements = (RELEASES / name / "clickhouse.sql").read_text().split(";\n")
    for statement in filter(str.strip, statements):
        release.clickhouse.command(statement)
    release.insert("fraiseql_events", EVENTS)
    release.insert("fraiseql_ledger", ledger_of(release.settings))


def make_indices(release: Installed) -> None:
    prefix = release.settings.index_prefix
    definitions = json.loads((RELEASES / "elasticsearch.json").read_text())
    events = f"{prefix}-events"
    template = {"index_patterns": [f"{events}-*"], "priority": 500, "_meta": {"digest": "older"}}
    release.put(f"_index_template/{events}", {**template, "template": definitions["events"]})
    release.put(f"{prefix}-ledger", definitions["ledger"])
    for day in DAYS:
        alias = f"{events}-{day:%Y.%m.%d}"
        release.put(f"{alias}{LIVE_INDEX}", {"aliases": {alias: {}, events: {}}})
    release.index((RELEASES / "documents.ndjson").read_text())
    for entry in ledger_of(release.settings):
        sequences = f"{entry['first']}-{entry['last']}"
        at = datetime.fromisoformat(entry["at"]).replace(tzinfo=UTC)
        document = {
            **entry,
            "at": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
            "at_us": int(at.timestamp()) * 1_000_000,
        }
        name = f"{entry['stream']}:{entry['day']}:{sequences}"
        release.put(f"{prefix}-ledger/_doc/{name}?refresh=true", document)


async def make_streams(settings: Settings) -> None:
    text = (RELEASES / "streams.json").read_text()
    for older, name in (
        ("fraiseql_events", settings.stream),
        ("fraiseql_dead_letters", settings.dead_letter_stream),
        ("fraiseql.", f"{settings.subject_prefix.partition('.')[0]}."),
        ("entity.change", f"{settings.subject_prefix.partition('.')[0]}.change"),
    ):
        text = text.replace(older, name)
    async with connect(settings, name="tests") as client:
        for config in map(StreamConfig.from_response, json.loads(text)):
            if config.name == settings.stream:
                # The log has dropped the messages that the planes hold.
                config = config.evolve(first_seq=FIRST_NEW)
            await client.jetstream().add_stream(config)


def ledger_of(settings: Settings) -> list[dict[str, Any]]:
    return [{**entry, "stream": settings.stream} for entry in LEDGER]


def rows_of(reader: AssetReader, asset: str) -> list[dict[str, Any]]:
    return [row for batch in reader.batches(asset) for row in batch.to_pylist()]


def as_events() -> list[dict[str, Any]]:
    """The events as readers give them."""
    times = ("timestamp", "stream_time")
    return [
        {
            name: datetime.fromisoformat(value).replace(tzinfo=UTC) if name in times else value
            for name, value in event.items()
        }
        for event in EVENTS
    ]


def by_sequence(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["stream_seq"])


def hourly(events: list[dict[str, Any]]) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Events and entities by hour, entity type and event type."""
    counts, entities = Counter[tuple[Any, ...]](), defaultdict[tuple[Any, ...], set[str]](set)
    for event in events:
        hour = event["timestamp"].replace(minute=0, second=0, microsecond=0)
        key = (hour, event["entity_type"], event["event_type"])
        counts[key] += 1
        entities[key].add(event["entity_id"])
    return {key: (count, len(entities[key])) for key, count in counts.items()}


def daily(events: list[dict[str, Any]]) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Events and users by day and tenant; no tenant and an empty one count together."""
    counts, users = Counter[tuple[Any, ...]](), defaultdict[tuple[Any, ...], set[str]](set)
    for event in events:
        key = (event["timestamp"].date(), event["tenant_id"] or None)
        counts[key] += 1
        users[key] |= {event["user_id"]} - {None}
    return {key: (count, len(users[key])) for key, count in counts.items()}


def planes_of(settings: Settings) -> list[Plane]:
    return [AnalyticsPlane(settings), OperationalPlane(settings)]


@every_release
def test_events_of_the_earlier_release_are_readable(installed: Installed) -> None:
    setup_all(installed.settings)
    for plane in planes_of(installed.settings):
        with closing(plane):
            reader = READERS[plane.name](installed.settings)
            assert by_sequence(rows_of(reader, f"{plane.name}/events")) == as_events()
            assert sum(plane.count(day).rows for day in DAYS) == len(EVENTS)


def test_the_ledgers_agree_with_the_planes(installed: Installed) -> None:
    setup_all(installed.settings)
    for plane in planes_of(installed.settings):
        with closing(plane):
            held = [
                (each.day, each.range.first, each.range.last, each.state)
                for each in plane.ledger(installed.settings.stream)
            ]
            assert held == [
                (day, entry["first"], entry["last"], "committed")
                for day, entry in zip(DAYS, LEDGER, strict=True)
            ]


@every_release
def test_the_aggregates_equal_those_of_the_events(installed: Installed) -> None:
    setup_all(installed.settings)
    reader = AnalyticsReader(installed.settings)
    found = {
        (row["hour"], row["entity_type"], row["event_type"]): (
            row["event_count"],
            row["unique_entities"],
        )
        for row in rows_of(reader, "analytics/events_hourly")
    }
    assert found == hourly(as_events())
    tenants = {
        (row["day"], row["tenant_id"]): (row["event_count"], row["unique_users"])
        for row in rows_of(reader, "analytics/org_daily")
    }
    assert tenants == daily(as_events())
    types = rows_of(reader, "analytics/event_type_stats")
    timed = [event["duration_ms"] for event in EVENTS if event["duration_ms"] is not None]
    assert sum(row["event_count"] for row in types) == len(EVENTS)
    assert max(row["max_duration_ms"] or 0 for row in types) == max(timed)


def test_setting_up_again_changes_nothing(installed: Installed) -> None:
    setup_all(installed.settings)
    again = setup_all(installed.settings)
    assert [line for line in again if "as it should be" not in line and "keeps" not in line] == []


@pytest.mark.parametrize("plane_name", ["analytics", "operational"])
def test_an_old_day_can_be_rebuilt(
    installed: Installed, plane: Plane, rebuild: Callable[..., Report]
) -> None:
    setup_all(installed.settings)
    report = rebuild(plane, DAYS[0])
    assert report.rows == LEDGER[0]["rows"]
    reader = READERS[plane.name](installed.settings)
    assert by_sequence(rows_of(reader, f"{plane.name}/events")) == as_events()


@pytest.mark.parametrize("plane_name", ["analytics", "operational"])
def test_new_events_are_added_to_old_ones(
    installed: Installed, plane: Plane, ingest: Callable[..., Report]
) -> None:
    settings = installed.settings
    setup_all(settings)
    new = {
        "id": "new",
        "event_type": "INSERT",
        "entity_type": "Order",
        "entity_id": "o-1",
        "data": {},
        "timestamp": "2026-11-24T00:00:00Z",
    }
    store_events(settings, [new])
    assert ingest(plane, FIRST_NEW).rows == 1
    reader = READERS[plane.name](settings)
    held = {row["event_id"] for row in rows_of(reader, f"{plane.name}/events")}
    assert held == {"new", *(event["event_id"] for event in EVENTS)}


def test_the_log_keeps_its_messages_and_configuration(installed: Installed) -> None:
    settings = installed.settings
    event = {"id": "e", "event_type": "INSERT", "entity_type": "Order", "entity_id": "o"}
    store_events(settings, [{**event, "data": {}, "timestamp": "2026-11-24T00:00:00Z"}])
    setup_all(settings)
    with Log(settings, name="tests") as log:
        assert log.bounds().messages == 1


@every_release
def test_the_earlier_release_can_use_the_migrated_planes(installed: Installed) -> None:
    """Its statements and documents are accepted, and both releases read all events."""
    settings = installed.settings
    setup_all(settings)
    moved = [
        {**event, "event_id": f"back-{event['event_id']}", "stream_seq": event["stream_seq"] + 100}
        for event in EVENTS
    ]
    installed.insert("fraiseql_events", moved)
    documents = (RELEASES / "documents.ndjson").read_text()
    installed.index(documents.replace('"_id":"', '"_id":"back-'))
    both = 2 * len(EVENTS)
    for plane in planes_of(settings):
        with closing(plane):
            assert sum(plane.count(day).rows for day in DAYS) == both
    columns = ", ".join(EVENTS[0])
    found = installed.clickhouse.query(f"SELECT {columns} FROM fraiseql_events").result_rows
    assert len(found) == both
    assert older_aggregates(installed) == dict.fromkeys(AGGREGATES, both)
    compared = AnalyticsPlane(settings).compare_aggregates(DAYS[0])
    assert set(compared.values()) == {2 * LEDGER[0]["rows"]}


AGGREGATES = ("events_hourly", "org_daily", "event_type_stats")


def older_aggregates(release: Installed) -> dict[str, int]:
    """The events that the first release's own queries count in each aggregate."""
    statements = (RELEASES / FIRST / "clickhouse.sql").read_text().split(";\n")
    queries = {
        name: statement.partition(" AS\n")[2]
        for name in AGGREGATES
        for statement in statements
        if statement.strip().startswith(f"CREATE VIEW IF NOT EXISTS fraiseql_{name} AS")
    }
    return {
        name: int(str(release.clickhouse.command(f"SELECT sum(event_count) FROM ({query})")))
        for name, query in queries.items()
    }
