"""ClickHouse's engine in one process, which takes ready blocks without a server or a client.

Reads from a folder `tables.sql`, one statement per line, and a file `*.arrows` per block. Prints
the rows that it inserted and the seconds that the inserts took.
"""

import sys
import tempfile
import time
from pathlib import Path

from fraiseql_assets.analytics.setup import EVENTS_TABLE
from fraiseql_assets.analytics.writer import INSERT_SETTINGS
from fraiseql_assets.events.schema import EVENT_SCHEMA
from local_stack.clickhouse.engine import Engine
from local_stack.clickhouse.statement import Statement

FORMAT = "ArrowStream"


def main() -> None:
    folder = Path(sys.argv[1])
    blocks = [path.read_bytes() for path in sorted(folder.glob("*.arrows"))]
    into = Statement("rows", f"INSERT INTO {EVENTS_TABLE} ({', '.join(EVENT_SCHEMA.names)})")
    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Path(data))
        session = engine.open()
        for statement in (folder / "tables.sql").read_text().splitlines():
            session.query(statement)
        session.set({name: str(value) for name, value in INSERT_SETTINGS.items()})
        rows, began = 0, time.perf_counter()
        for number, block in enumerate(blocks):
            session.set({"insert_deduplication_token": f"{number}"})
            rows += session.insert(into, FORMAT, iter([block])).written_rows
        sys.stdout.write(f"{rows} {time.perf_counter() - began}\n")
        session.close()
        engine.close()


if __name__ == "__main__":
    main()
