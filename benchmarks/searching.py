"""N16: searches among a million documents.

The operational plane holds a day of events, spread over its hours, and requests. Each search is
sent by the implementation that the command line, HTTP and Flight share, with other values each
time, and is timed until its hits are an Arrow batch.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
from harness import QUICK, Comparison, Table, alternate, percentile, report, working
from logs import as_stored, embedded, events
from pydantic import SecretStr

from fraiseql_assets.operational.client import connect, definition
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.request_bodies import request_documents
from fraiseql_assets.operational.search.engine import Search
from fraiseql_assets.operational.search.request import Counts, SearchRequest
from fraiseql_assets.planes import Block
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.requests.schema import REQUEST_SCHEMA
from fraiseql_assets.settings import Settings

EVENTS = 5_000 if QUICK else 950_000
REQUESTS = 500 if QUICK else 50_000
SEARCHES = 10 if QUICK else 100
"""Searches of each kind in a round."""
ROUNDS = 3
BLOCK_ROWS = 100_000
SEARCH_GOAL, COUNT_GOAL = 100.0, 300.0
DAY = datetime.now(UTC).date() - timedelta(days=1)
MIDNIGHT = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
MESSAGES = (
    'deadlock detected on relation "tb_order"',
    "The card was declined by the issuer.",
    "Cannot query field 'totalAmount' on type 'Order'.",
)


def spread_events() -> pa.Table:
    """Events of one day, as the log returns them."""
    stored = as_stored(events(EVENTS))
    apart = timedelta(days=1) / EVENTS
    times = pa.array([MIDNIGHT + number * apart for number in range(EVENTS)])
    return stored.set_column(
        stored.schema.get_field_index("timestamp"),
        stored.schema.field("timestamp"),
        times.cast(stored.schema.field("timestamp").type),
    )


def requests(chance: random.Random, entities: list[str]) -> Iterator[pa.RecordBatch]:
    """Requests of the same day; one of ten failed."""
    for first in range(0, REQUESTS, BLOCK_ROWS // 10):
        rows = [
            _request(chance, number, entities)
            for number in range(first, min(REQUESTS, first + BLOCK_ROWS // 10))
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=REQUEST_SCHEMA)


def _request(chance: random.Random, number: int, entities: list[str]) -> dict[str, object]:
    failed = chance.random() < 0.1
    return {
        "request_id": f"{chance.getrandbits(128):032x}",
        "timestamp": MIDNIGHT + number * timedelta(days=1) / REQUESTS,
        "operation_type": "query",
        "operation_name": f"Page{chance.randrange(40)}",
        "query": "query Page($id: ID!) { order(id: $id) { id total lines { sku quantity } } }",
        "query_hash": f"{chance.randrange(40):064x}",
        "variables": json.dumps({"id": chance.choice(entities)}),
        "user_id": f"user-{chance.randrange(2_000)}",
        "tenant_id": "acme",
        "transport": "http",
        "status": "error" if failed else "ok",
        "error_codes": ["DATABASE_ERROR"] if failed else [],
        "error_messages": [chance.choice(MESSAGES)] if failed else [],
        "duration_ms": chance.lognormvariate(2.5, 0.8),
        "stream_seq": number + 1,
        "stream_row": 0,
        "stream_time": MIDNIGHT,
    }


def fill(settings: Settings, stored: pa.Table, chance: random.Random) -> None:
    """Writes everything, and makes it visible."""
    entities = stored["entity_id"].slice(0, 10_000).to_pylist()
    sequences = SequenceRange(1, EVENTS)
    with (
        working(f"indexing {EVENTS + REQUESTS:,} documents"),
        closing(OperationalPlane(settings)) as plane,
        closing(connect(settings, timeout=120)) as client,
    ):
        plane.setup()
        for number, first in enumerate(range(0, EVENTS, BLOCK_ROWS)):
            table = stored.slice(first, BLOCK_ROWS)
            plane.write(Block(table, "log", sequences, DAY, number, f"benchmark:{number}"))
        alias = f"{settings.index_prefix}-requests"
        index = f"{alias}-{DAY:%Y.%m.%d}-000001"
        client.indices.create(index=index, aliases={alias: {}}, **definition("requests"))
        for batch in requests(chance, entities):
            client.perform_request(
                "POST",
                "/_bulk",
                params={"filter_path": "errors"},
                headers={"content-type": "application/x-ndjson", "accept": "application/json"},
                body="".join(request_documents(batch, index).to_pylist()).encode(),
            )
        client.indices.refresh(index=f"{settings.index_prefix}-*")


def searches(stored: pa.Table, chance: random.Random) -> dict[str, Callable[[], SearchRequest]]:
    """A search of each kind, with other values at each call."""
    sample = stored.slice(0, 10_000).to_pylist()
    data = [json.loads(row["data"]) for row in sample]

    def event() -> dict[str, object]:
        return chance.choice(sample)

    def text() -> str:
        return f'"{chance.choice(data)["customer"]["name"]}"'

    def combined() -> SearchRequest:
        row = event()
        since = MIDNIGHT + timedelta(hours=chance.uniform(0, 18))
        return SearchRequest(
            query=f"delivered AND duration_ms:[{chance.randrange(20)} TO 80]",
            entity_type=str(row["entity_type"]),
            tenant=str(row["tenant_id"] or "acme"),
            since=since,
            until=since + timedelta(hours=6),
        )

    def path() -> SearchRequest:
        found = chance.choice(data)
        country = found["customer"]["country"]
        return SearchRequest(
            query=f"data.customer.country:{country} AND data.items:{found['items']}"
        )

    return {
        "an id": lambda: SearchRequest(id=str(event()["event_id"])),
        "the timeline of an entity": lambda: SearchRequest(
            entity=str(event()["entity_id"]), oldest_first=True
        ),
        "free text": lambda: SearchRequest(query=text()),
        "frequent words": lambda: SearchRequest(
            query=f"{chance.choice(data)['status']} {chance.choice(data)['customer']['country']}"
        ),
        "text, filters and a range": combined,
        "paths in data": path,
        "failed requests": lambda: SearchRequest(query="deadlock", failed=True),
    }


def p95_of(work: Callable[[], object]) -> float:
    """The 95th percentile of some calls, in milliseconds."""
    taken: list[float] = []
    for _ in range(SEARCHES):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return percentile(taken, 0.95)


def main() -> None:
    parser = argparse.ArgumentParser(description="N16: searches among a million documents.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    chance = random.Random(3)
    stored = spread_events()
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded(Path(folder), "elasticsearch") as [server],
    ):
        settings = Settings(elasticsearch_url=SecretStr(server.address))
        fill(settings, stored, chance)
        search = Search(settings)
        found = {
            name: partial(p95_of, lambda made=made: search.hits(made(), tenant=None))
            for name, made in searches(stored, chance).items()
        }
        hits, load = alternate(found, unit="ms, p95", rounds=rounds)
        counted = {
            f"counts by {by}": partial(
                p95_of, lambda by=by: search.counts(_within_the_day(chance), by, tenant=None)
            )
            for by in Counts
        }
        counts, count_load = alternate(counted, unit="ms, p95", rounds=rounds)
        memory = server.process.memory_info().rss / 2**20
    slowest = max(side.median for side in hits)
    slowest_count = max(side.median for side in counts)
    total = f"{EVENTS + REQUESTS:,} documents"
    report(
        "searching",
        [
            Comparison(
                "N16", f"Search in {total}: p95 of the slowest kind", f"≤ {SEARCH_GOAL:g} ms",
                slowest, slowest <= SEARCH_GOAL, hits, load,
            ),
            Comparison(
                "N16", f"Counts over {total}: p95 of the slowest", f"≤ {COUNT_GOAL:g} ms",
                slowest_count, slowest_count <= COUNT_GOAL, counts, count_load,
            ),
        ],
        [Table("The server after it", ("memory, MiB",), [(memory,)], "Its heap has 512 MiB.")],
    )  # fmt: skip


def _within_the_day(chance: random.Random) -> SearchRequest:
    """Nearly everything, with an edge that no other search has, so that none is answered from the
    server's cache."""
    return SearchRequest(since=MIDNIGHT + timedelta(milliseconds=chance.randrange(3_600_000)))


if __name__ == "__main__":
    main()
