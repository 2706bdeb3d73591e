"""A PostgreSQL database with a million TPC-H line items, for the GraphQL benchmarks.

The compiled schema reads the same rows in three ways: `lineItems` from a view that builds documents
and has a flat view beside it, `builtItems` from such a view without a flat view, and `storedItems`
from stored documents (the first 250,000 rows).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adbc_driver_postgresql import dbapi
from harness import QUICK, working
from processes import running

from local_stack import servers
from local_stack.demo.tpch import make_tables
from local_stack.ports import distinct_free_ports

HERE = Path(__file__).parent
COMPILED_SCHEMA = HERE / "schema.compiled.json"
SCALE = 0.01 if QUICK else 0.17
"""TPC-H's scale factor: 0.17 gives 1,020,116 line items, 0.01 gives 60,175."""


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """Starts and loads the database for the duration of the block. Yields its address."""
    [port] = distinct_free_ports(1)
    program = servers.postgresql(folder / "postgresql", port)
    [url] = program.addresses.values()
    with running(program, folder):
        with working("loading TPC-H's line items"):
            _load(url)
        yield url


def settings(url: str) -> dict[str, str]:
    """Environment variables with which the Flight service serves the database."""
    return {"FRAISEQL_DATABASE_URL": url, "FRAISEQL_SCHEMA": str(COMPILED_SCHEMA)}


def _load(url: str) -> None:
    [raw] = make_tables(SCALE, ("lineitem",)).values()
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("lineitem", raw, mode="create")
        # One statement at a time: VACUUM cannot run in a transaction block.
        for statement in (HERE / "tables.sql").read_text().split(";\n"):
            if statement.strip():
                cursor.execute(statement)
