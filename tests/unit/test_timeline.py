"""What a line of a search shows of a hit."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from fraiseql_assets.cli.timeline import line_of
from fraiseql_assets.operational.search.schema import HIT_SCHEMA

MESSAGE = "Cannot query field 'total' on type 'Order'."


def failed_request(**fields: Any) -> dict[str, Any]:
    row = {
        "kind": "request",
        "id": "r-1",
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "operation_type": "query",
        "transport": "http",
        "status": "error",
        "error_messages": [MESSAGE],
        "stream_seq": 1,
        **fields,
    }
    [whole] = pa.Table.from_pylist([row], schema=HIT_SCHEMA).to_pylist()
    return whole


def test_an_error_is_shown_once_with_highlights() -> None:
    marked = MESSAGE.replace("total", "<em>total</em>")
    line = line_of(failed_request(highlights=[marked, "{ order { <em>total</em> } }"]))
    assert line.plain.count(MESSAGE) == 1
    assert line.plain.endswith("… { order { total } }")
    start = line.plain.index("total")
    assert any((s.start, s.end, s.style) == (start, start + 5, "bold yellow") for s in line.spans)


def test_an_error_without_highlights_is_shown_as_it_is() -> None:
    line = line_of(failed_request(error_messages=["a <em>tag</em> of its own"], highlights=None))
    assert line.plain.endswith("✗ a <em>tag</em> of its own")
