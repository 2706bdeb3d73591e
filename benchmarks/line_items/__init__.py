"""A PostgreSQL with a million of TPC-H's line items, for the benchmarks of GraphQL.

The same rows are there three times: as a view that builds its documents and has a flat view beside
it (`lineItems` in the compiled schema), as such a view without one (`builtItems`), and, the first
quarter of a million of them, as documents that are stored (`storedItems`).
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
"""TPC-H's scale factor: 1,020,116 line items, or 60,175."""


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """The address of the database, loaded, for the length of the block."""
    [port] = distinct_free_ports(1)
    program = servers.postgresql(folder / "postgresql", port)
    [url] = program.addresses.values()
    with running(program, folder):
        with working("loading TPC-H's line items"):
            _load(url)
        yield url


def settings(url: str) -> dict[str, str]:
    """What the Flight service is told to serve them."""
    return {"FRAISEQL_DATABASE_URL": url, "FRAISEQL_SCHEMA": str(COMPILED_SCHEMA)}


def _load(url: str) -> None:
    [raw] = make_tables(SCALE, ("lineitem",)).values()
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("lineitem", raw, mode="create")
        # One at a time: VACUUM is refused beside others.
        for statement in (HERE / "tables.sql").read_text().split(";\n"):
            if statement.strip():
                cursor.execute(statement)
