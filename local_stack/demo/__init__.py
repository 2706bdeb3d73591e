"""The demo: TPC-H as a shop whose orders are placed, paid, shipped, received and returned.

The same tables are a FraiseQL database (`database.load`) and a history of observer events
(`feed.run`), under the same ids. `python -m local_stack.demo` makes both.
"""

from pathlib import Path
from urllib.parse import urlsplit

COMPILED_SCHEMA = Path(__file__).parent / "schema.compiled.json"
"""The compiled schema of the demo's database: what `FRAISEQL_SCHEMA` names in the demo."""

QUERIES = Path(__file__).parent / "queries"
"""Sample queries, one `.graphql` file each, over the compiled schema."""

SCALE = 0.05
"""TPC-H's scale factor: 75,000 orders and 300,000 line items."""


class DemoError(Exception):
    """The demo's data could not be made or loaded; the message says what to do."""


def on_database(url: str, database: str) -> str:
    """The address of another database on the server that an address names."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{database}{query}"
