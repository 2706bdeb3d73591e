"""N5, N6 and N7: events from the log into Arrow batches and into ClickHouse.

N7  Arrow-batch events, log → Arrow batches in the run's process, events/s.
N6  Arrow-batch events, log → ClickHouse over HTTP, against the engine itself taking the same ready
    blocks in its process, into the same tables and views.
N5  JSON events, log → decode → ClickHouse, against the naive loop: fetch, json.loads, from_pylist,
    insert, ack.

The benchmark starts the embedded servers. Each round writes into new, empty tables with the plane's
writer, which looks up duplicates and updates the aggregates.
"""

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
from harness import QUICK, ROUNDS, Comparison, Side, alternate, rate, report
from logs import embedded, fill, settings_of
from nats.aio.client import Client
from nats.js.api import ConsumerConfig
from pydantic import SecretStr

from fraiseql_assets.analytics.client import connect as connect_clickhouse
from fraiseql_assets.analytics.client import database_of
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.analytics.setup import EVENTS_TABLE
from fraiseql_assets.events.decode import decode, decode_parts
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.pipeline.blocks import build_blocks
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job, default_batching
from fraiseql_assets.planes import Block
from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.log import Log

ARROW_EVENTS = 50_000 if QUICK else 1_000_000
JSON_EVENTS = 20_000 if QUICK else 600_000
NAIVE_EVENTS = 20_000
"""Events for the naive loop; the benchmark compares events per second."""
NAIVE_BATCH = 10_000
N7_GOAL, N6_GOAL, N5_GOAL = 1_500_000, 0.70, 12.0


def whole(log: Log) -> SequenceRange:
    bounds = log.bounds()
    return SequenceRange(bounds.first, bounds.last)


def into_arrow(settings: Settings) -> float:
    """Reads and decodes the log as a run does. Returns the number of rows."""
    with Log(settings, name="benchmark") as log:
        messages = log.read(whole(log), default_batching(settings), ahead=settings.queue_batches)
        parts = chain.from_iterable(map(decode_parts, messages))
        decoded = prefetch(parts, ahead=settings.queue_batches)
        return sum(each.rows for each in decoded)


@contextmanager
def new_tables(settings: Settings) -> Iterator[tuple[Settings, AnalyticsPlane]]:
    """A plane in a new database, which is dropped after the block, and its settings."""
    base = settings.clickhouse_url.get_secret_value().rpartition("/")[0]
    name = f"benchmark_{secrets.token_hex(4)}"
    own = settings.model_copy(update={"clickhouse_url": SecretStr(f"{base}/{name}")})
    with closing(AnalyticsPlane(own)) as plane:
        plane.setup()
        yield own, plane
    with closing(connect_clickhouse(own, timeout=60, database="default")) as client:
        client.command(f"DROP DATABASE {name} SYNC")


def into_tables(settings: Settings, work: Callable[[Settings, AnalyticsPlane], float]) -> float:
    """The rate of some work in new tables. Creating and dropping them is not measured."""
    with new_tables(settings) as (own, plane):
        # Opens the connection before the measurement.
        plane.describe()
        return rate(lambda: work(own, plane))


def ingest(settings: Settings, plane: AnalyticsPlane) -> float:
    """Ingests the whole log as a run does, with the ledger."""
    with Log(settings, name="benchmark") as log:
        job = Job("benchmark", 1, default_batching(settings), settings.queue_batches)
        return ingest_range(plane, log, whole(log), datetime.now(UTC).date(), job).rows


def ready_blocks(settings: Settings) -> list[Block]:
    """The blocks that `ingest` writes."""
    with Log(settings, name="benchmark") as log:
        sequences, batching = whole(log), default_batching(settings)
        batches = [b for m in log.read(sequences, batching, ahead=8) for b in decode(m).batches]
    return list(
        build_blocks(batches, settings.stream, sequences, datetime.now(UTC).date(), batching)
    )


def naive(settings: Settings, plane: AnalyticsPlane) -> float:
    """The simplest code: a durable consumer, a dictionary per event, an insert per fetch."""
    del plane
    with closing(connect_clickhouse(settings, timeout=60)) as client:
        return asyncio.run(_naive(settings, client))


async def _naive(settings: Settings, client: Any) -> float:
    done = 0
    async with connect(settings, name="benchmark", reconnect_seconds=10) as nats:
        subscription = await _subscribe(nats, settings)
        while done < NAIVE_EVENTS:
            messages = await subscription.fetch(NAIVE_BATCH, timeout=10)
            rows = [_row(message) for message in messages]
            client.insert_arrow(EVENTS_TABLE, pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
            for message in messages:
                await message.ack()
            done += len(messages)
        await subscription.unsubscribe()
    return done


async def _subscribe(nats: Client, settings: Settings) -> Any:
    """A durable consumer that allows more unacknowledged messages than one fetch returns."""
    return await nats.jetstream().pull_subscribe(
        f"{settings.stream}.>",
        durable=f"naive{secrets.token_hex(4)}",
        stream=settings.stream,
        config=ConsumerConfig(max_ack_pending=2 * NAIVE_BATCH),
    )


def _row(message: Any) -> dict[str, Any]:
    event, metadata = json.loads(message.data), message.metadata
    return {
        "event_id": event["id"],
        "event_type": event["event_type"],
        "entity_type": event["entity_type"],
        "entity_id": event["entity_id"],
        "timestamp": datetime.fromisoformat(event["timestamp"]),
        "data": json.dumps(event["data"]),
        "user_id": event["user_id"],
        "tenant_id": event["tenant_id"],
        "changes": None if event["changes"] is None else json.dumps(event["changes"]),
        "seq": event["seq"],
        "actor_type": event["actor_type"],
        "acting_for": event["acting_for"],
        "schema_version": event["schema_version"],
        "cdc_source": event["cdc_source"],
        "duration_ms": event["duration_ms"],
        "stream_seq": metadata.sequence.stream,
        "stream_row": 0,
        "stream_time": metadata.timestamp,
    }


def n7(arrow: Settings, rounds: int) -> Comparison:
    sides, load = alternate(
        {"log → Arrow": lambda: rate(lambda: into_arrow(arrow))}, unit="events/s", rounds=rounds
    )
    value = sides[0].median
    measure = "Arrow-batch events: log → Arrow batches in the run's process, events/s"
    return Comparison("N7", measure, f"≥ {N7_GOAL:,}", value, value >= N7_GOAL, sides, load)


def n6(arrow: Settings, folder: Path, rounds: int) -> Comparison:
    blocks = ready_blocks(arrow)
    folder.mkdir()
    (folder / "tables.sql").write_text("\n".join(table_statements(arrow)))
    for number, block in enumerate(blocks):
        (folder / f"{number:05}.arrows").write_bytes(as_stream(block.table))

    def write_ready(_: Settings, plane: AnalyticsPlane) -> float:
        return sum(written.rows for written in plane.write_all(blocks))

    sides, load = alternate(
        {
            "log → ClickHouse": lambda: into_tables(arrow, ingest),
            "the engine, the same blocks in process": lambda: into_engine(folder),
            "the plane's writer, the same blocks from memory": lambda: into_tables(
                arrow, write_ready
            ),
        },
        unit="events/s",
        rounds=rounds,
    )
    measure = (
        "Arrow-batch events: log → ClickHouse over HTTP, against the engine itself taking the same "
        "ready blocks in process"
    )
    return _ratio("N6", measure, N6_GOAL, sides, load)


def as_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def into_engine(folder: Path) -> float:
    """The rate at which the engine alone takes ready blocks, into new tables."""
    program = Path(__file__).parent / "baselines" / "engine.py"
    done = subprocess.run(
        [sys.executable, program, folder], check=True, stdout=subprocess.PIPE, text=True
    )
    rows, seconds = done.stdout.split()
    return float(rows) / float(seconds)


def table_statements(settings: Settings) -> list[str]:
    """The statements that create the plane's tables and views, as a server has them."""
    with new_tables(settings) as (own, _):
        name = database_of(own)
        with closing(connect_clickhouse(own, timeout=60)) as client:
            found = client.query(
                "SELECT create_table_query FROM system.tables WHERE database = {name:String} "
                "ORDER BY engine = 'View', engine = 'MaterializedView'",
                parameters={"name": name},
            ).result_rows
    return [str(row[0]).replace(f"{name}.", "default.") for row in found]


def n5(observer: Settings, rounds: int) -> Comparison:
    sides, load = alternate(
        {
            "log → decode → ClickHouse": lambda: into_tables(observer, ingest),
            "the naive loop": lambda: into_tables(observer, naive),
        },
        unit="events/s",
        rounds=rounds,
    )
    measure = "JSON events: log → decode → ClickHouse, against the naive loop"
    return _ratio("N5", measure, N5_GOAL, sides, load)


def _ratio(
    number: str, measure: str, goal: float, sides: list[Side], load: tuple[float, float]
) -> Comparison:
    value = sides[0].median / sides[1].median
    return Comparison(number, measure, f"≥ {goal:g} ×", value, value >= goal, sides, load)


def main() -> None:
    parser = argparse.ArgumentParser(description="N5, N6 and N7: events from the log.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded(Path(folder), "nats", "clickhouse") as (nats, clickhouse),
    ):
        addresses = {"nats_url": nats.address, "clickhouse_url": clickhouse.address}
        arrow, observer = settings_of("arrow", **addresses), settings_of("observer", **addresses)
        fill(arrow, "arrow", ARROW_EVENTS)
        fill(observer, "observer", JSON_EVENTS)
        report(
            "ingest",
            (n7(arrow, rounds), n6(arrow, Path(folder) / "blocks", rounds), n5(observer, rounds)),
        )


if __name__ == "__main__":
    main()
