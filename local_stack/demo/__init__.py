"""The demo: TPC-H as a shop whose orders are placed, paid, shipped, received and returned.

The same entities are in a FraiseQL database (`database.load`) and in a history of observer events
(`feed.run`), with the same ids. `python -m local_stack.demo` creates both.
"""

from pathlib import Path
from urllib.parse import urlsplit

COMPILED_SCHEMA = Path(__file__).parent / "schema.compiled.json"
"""The compiled schema of the demo's database, for `FRAISEQL_SCHEMA`."""

QUERIES = Path(__file__).parent / "queries"
"""Sample queries for the compiled schema, one `.graphql` file each."""

SCALE = 0.05
"""TPC-H's scale factor: 75,000 orders and 300,000 line items."""


class DemoError(Exception):
    """The demo's data could not be generated or loaded. The message says what to do."""


def on_database(url: str, database: str) -> str:
    """The address of another database on the same server."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{database}{query}"
