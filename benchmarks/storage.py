"""Bytes per event and per request in the log and in each plane.

Different events are published as JSON messages and ingested by both planes. As many requests of
five operations, one of twenty failed, are ingested by the operational plane, which alone holds
them. Each store is measured after it has merged its files: that is what a day costs while it is
retained.
"""

import argparse
import asyncio
import random
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from harness import QUICK, ROUNDS, Cell, Table, load, report, working
from logs import embedded, fill, settings_of

from fraiseql_assets.analytics.client import connect as connect_clickhouse
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.datasets import EVENTS as OF_EVENTS
from fraiseql_assets.datasets import REQUESTS, Dataset
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.events.generate import generate
from fraiseql_assets.operational.client import connect as connect_elasticsearch
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job, default_batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.requests.record import RequestError, RequestRecord, message_of
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect as connect_nats
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish

EVENTS = REQUEST_COUNT = 5_000 if QUICK else 200_000
PUBLISHED_TOGETHER = 1_000
SETTLED_SECONDS = 30

TABLES = """
SELECT table, sum(bytes_on_disk) FROM system.parts
WHERE active AND database = currentDatabase() GROUP BY table ORDER BY 2 DESC
"""
COLUMNS = """
SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns
WHERE active AND database = currentDatabase() AND table = 'fraiseql_events'
GROUP BY column ORDER BY 2 DESC
"""


def ingest(settings: Settings, plane: Any) -> None:
    """Brings the whole log into a plane, as a run does."""
    with (
        working(f"{plane.dataset.name} into the {plane.name} plane"),
        closing(plane),
        Log(settings, name="benchmark", dataset=plane.dataset) as log,
    ):
        plane.setup()
        job = Job("benchmark", 1, default_batching(settings), settings.queue_batches)
        bounds = log.bounds()
        day = datetime.now(UTC).date()
        ingest_range(plane, log, SequenceRange(bounds.first, bounds.last), day, job)


def requests() -> Iterator[Outgoing]:
    """The messages of different requests, as the Flight service publishes them."""
    chance, start = random.Random(1), datetime.now(UTC) - timedelta(hours=1)
    prefix = REQUESTS.subject_prefix(Settings())

    def number() -> str:
        return str(uuid.UUID(int=chance.getrandbits(128)))

    for count in range(REQUEST_COUNT):
        name = chance.choice(("OrderPage", "Orders", "CustomerPage", "PayOrder", "Search"))
        failed = chance.random() < 0.05
        message = f"Cannot query field 'total{count % 9}' on type 'Order'."
        record = RequestRecord(
            query=f"query {name}($id: ID!) {{ order(id: $id) {{ id status totalPrice }} }}",
            transport=chance.choice(("http", "flight")),
            status="error" if failed else "ok",
            duration_ms=round(chance.expovariate(1 / 20), 3),
            variables={"id": number()},
            operation_name=name,
            user_id=f"user-{chance.randrange(200)}",
            tenant_id=chance.choice(("acme", "globex", "initech")),
            errors=[RequestError(message, "GRAPHQL_VALIDATION_FAILED")] if failed else [],
            rows=None if failed else chance.randrange(100),
            bytes=chance.randrange(200, 20_000),
            trace_id=f"{chance.getrandbits(128):032x}",
            timestamp=start + timedelta(milliseconds=10 * count),
            request_id=number(),
        )
        yield message_of(record, prefix, ())


def publish_requests(settings: Settings) -> None:
    async def publish_them() -> None:
        made = requests()
        async with connect_nats(settings, name="benchmark") as client:
            while some := list(islice(made, PUBLISHED_TOGETHER)):
                await publish(client, some)

    with working(f"publishing {REQUEST_COUNT:,} requests"):
        asyncio.run(publish_them())


def per_event(store: str, sizes: Sequence[Sequence[Any]]) -> list[list[Cell]]:
    """Lines of a table, from names and sizes in bytes."""
    return [[store, str(name), size / EVENTS] for name, size in sizes]


def in_clickhouse(settings: Settings) -> tuple[list[list[Cell]], list[list[Cell]]]:
    """Bytes per event of each table, and of each column of the events."""
    with closing(connect_clickhouse(settings, timeout=120)) as client:
        for [table, _] in client.query(TABLES).result_rows:
            client.command(f"OPTIMIZE TABLE {table} FINAL")
        tables, columns = (client.query(statement).result_rows for statement in (TABLES, COLUMNS))
    return per_event("ClickHouse", tables), per_event("ClickHouse", columns)


def in_elasticsearch(
    settings: Settings, dataset: Dataset
) -> tuple[list[list[Cell]], list[list[Cell]]]:
    """Bytes per row of the day's index, and of each of its fields."""
    alias = f"{settings.index_prefix}-{dataset.name}"
    with closing(connect_elasticsearch(settings, timeout=120)) as client:
        client.indices.flush(index=alias)
        written = _size(client, alias)
        client.indices.forcemerge(index=alias, max_num_segments=1)
        _wait_until_merged(client, alias)
        merged = _size(client, alias)
        usage = client.indices.disk_usage(index=alias, run_expensive_tasks=True).body
    [index] = (held for name, held in usage.items() if name != "_shards")
    fields = sorted(
        ((name, held["total_in_bytes"]) for name, held in index["fields"].items()),
        key=lambda pair: -pair[1],
    )
    sizes = [("the index, as written", written), ("the index, merged", merged)]
    return per_event("Elasticsearch", sizes), per_event("Elasticsearch", fields)


def _wait_until_merged(client: Elasticsearch, alias: str) -> None:
    """Waits until the files that were merged are deleted: one segment alone is counted."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < deadline:
        client.indices.flush(index=alias, force=True)
        client.indices.refresh(index=alias)
        held = client.indices.stats(index=alias)["_all"]["primaries"]
        if held["segments"]["count"] == 1 and not held["merges"]["current"]:
            return
        time.sleep(0.5)
    raise RuntimeError("Elasticsearch does not finish its merge.")


def _size(client: Elasticsearch, alias: str) -> int:
    return client.indices.stats(index=alias)["_all"]["primaries"]["store"]["size_in_bytes"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes per event in the log and in each plane.")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="ignored: sizes are the same in each round"
    )
    parser.parse_args()
    before = load()
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded(Path(folder), "nats", "clickhouse", "elasticsearch") as servers,
    ):
        names = ("nats_url", "clickhouse_url", "elasticsearch_url")
        addresses = {name: server.address for name, server in zip(names, servers, strict=True)}
        settings = settings_of("storage", **addresses)
        fill(settings, "observer", EVENTS, generate(EVENTS, seed=1))
        publish_requests(settings)
        in_log = [_log_bytes(settings, dataset) for dataset in (OF_EVENTS, REQUESTS)]
        for plane in (
            AnalyticsPlane(settings),
            OperationalPlane(settings),
            OperationalPlane(settings, REQUESTS),
        ):
            ingest(settings, plane)
        tables, columns = in_clickhouse(settings)
        index, fields = in_elasticsearch(settings, OF_EVENTS)
        request_index, request_fields = in_elasticsearch(settings, REQUESTS)
    stream, request_stream = (per_event("JetStream", [("the stream", size)]) for size in in_log)
    loads = f"Load {before:.1f} before, {load():.1f} after."
    report(
        "storage",
        (),
        [
            _table("event", [*stream, *tables, *index], f"{EVENTS:,} different events. {loads}"),
            _table("event, by column and field", [*columns, *fields]),
            _table(
                "request",
                [*request_stream, *request_index],
                f"{REQUEST_COUNT:,} different requests. {loads}",
            ),
            _table("request, by field", request_fields),
        ],
    )


def _log_bytes(settings: Settings, dataset: Dataset) -> int:
    with Log(settings, name="benchmark", dataset=dataset) as log:
        return log.bounds().bytes


def _table(of: str, lines: list[list[Cell]], note: str = "") -> Table:
    """Lines of bytes per row. Without a note they are parts, of which the small are left out."""
    shown = lines if note else [line for line in lines if float(line[2] or 0) >= 1]
    heads = ("store", "of it", f"bytes per {of.split(',')[0]}")
    return Table(f"Bytes per {of}", heads, shown, note or "Those of at least 1.")


if __name__ == "__main__":
    main()
