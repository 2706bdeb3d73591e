"""N15: documents into Elasticsearch, against `helpers.parallel_bulk` of the same blocks.

Both sides write the same blocks into an empty day of the same server, set up by the plane. The
library is given a dictionary per event, made from the block as one would write it, and has the
threads and chunks of its defaults.
"""

import argparse
import secrets
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import pyarrow as pa
from bulk import actions
from elasticsearch.helpers import parallel_bulk
from harness import QUICK, Comparison, alternate, rate, report
from logs import as_stored, embedded, events
from pydantic import SecretStr

from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.planes import Block
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings

EVENTS = 5_000 if QUICK else 1_000_000
ROUNDS = 1
BLOCK_ROWS = 100_000
GOAL = 3.0
DAY = date(2026, 1, 1)

Write = Callable[[Settings, OperationalPlane, list[pa.Table]], int]


def by_plane(settings: Settings, plane: OperationalPlane, blocks: list[pa.Table]) -> int:
    """Our side: the plane's writer, block by block."""
    return sum(
        plane.write(
            Block(table, "log", SequenceRange(1, EVENTS), DAY, number, f"benchmark:{number}")
        ).rows
        for number, table in enumerate(blocks)
    )


def by_library(settings: Settings, plane: OperationalPlane, blocks: list[pa.Table]) -> int:
    """The library's side, with all its defaults."""
    index = f"{settings.index_prefix}-events-{DAY:%Y.%m.%d}-000001"
    client = connect(settings, timeout=settings.request_timeout_seconds)
    with closing(client):
        return sum(
            done
            for table in blocks
            for done, _ in parallel_bulk(
                client, ({**action, "_index": index} for action in actions(table))
            )
        )


def measured(url: str, blocks: list[pa.Table], write: Write) -> float:
    """Documents per second into a day of its own, which is dropped afterwards."""
    settings = Settings(
        elasticsearch_url=SecretStr(url), index_prefix=f"benchmark-{secrets.token_hex(4)}"
    )
    with closing(OperationalPlane(settings)) as plane:
        plane.setup()
        found = rate(lambda: write(settings, plane, blocks))
        with closing(connect(settings, timeout=60)) as client:
            client.indices.delete(index=f"{settings.index_prefix}-events-{DAY:%Y.%m.%d}-000001")
            client.indices.delete(index=f"{settings.index_prefix}-ledger")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Documents into Elasticsearch: N15.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    stored = as_stored(events(EVENTS))
    blocks = [stored.slice(first, BLOCK_ROWS) for first in range(0, EVENTS, BLOCK_ROWS)]
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded(Path(folder), "elasticsearch") as [server],
    ):
        sides, load = alternate(
            {
                "the plane's writer": lambda: measured(server.address, blocks, by_plane),
                "parallel_bulk": lambda: measured(server.address, blocks, by_library),
            },
            unit="documents/s",
            rounds=rounds,
        )
    value = sides[0].median / sides[1].median
    measure = f"{EVENTS:,} documents into Elasticsearch, against `helpers.parallel_bulk`"
    compared = Comparison("N15", measure, f"≥ {GOAL:g} ×", value, value >= GOAL, sides, load)
    report("indexing", [compared])


if __name__ == "__main__":
    main()
