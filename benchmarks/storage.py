"""Bytes per event in the log and in each plane.

The same events, none of them repeated, are published as JSON messages and ingested by both planes.
Each store is measured after it has merged its files: that is what a day costs while it is retained.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from harness import QUICK, ROUNDS, Cell, Table, load, report, working
from logs import embedded, fill, settings_of

from fraiseql_assets.analytics.client import connect as connect_clickhouse
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.events.generate import generate
from fraiseql_assets.operational.client import connect as connect_elasticsearch
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job, default_batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log

EVENTS = 5_000 if QUICK else 200_000
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
        working(f"into the {plane.name} plane"),
        closing(plane),
        Log(settings, name="benchmark") as log,
    ):
        plane.setup()
        job = Job("benchmark", 1, default_batching(settings), settings.queue_batches)
        bounds = log.bounds()
        day = datetime.now(UTC).date()
        ingest_range(plane, log, SequenceRange(bounds.first, bounds.last), day, job)


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


def in_elasticsearch(settings: Settings) -> tuple[list[list[Cell]], list[list[Cell]]]:
    """Bytes per event of the day's index, and of each of its fields."""
    alias = f"{settings.index_prefix}-events"
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
        with Log(settings, name="benchmark") as log:
            in_log = log.bounds().bytes
        for kind in (AnalyticsPlane, OperationalPlane):
            ingest(settings, kind(settings))
        tables, columns = in_clickhouse(settings)
        index, fields = in_elasticsearch(settings)
    stores = [*per_event("JetStream", [("the stream", in_log)]), *tables, *index]
    note = f"{EVENTS:,} events, none repeated. Load {before:.1f} before, {load():.1f} after."
    heads = ("store", "of it", "bytes per event")
    shown = [line for line in (*columns, *fields) if float(line[2] or 0) >= 1]
    report(
        "storage",
        (),
        [
            Table("Bytes per event", heads, stores, note),
            Table("Bytes per event, by column and field", heads, shown, "Those of at least 1."),
        ],
    )


if __name__ == "__main__":
    main()
