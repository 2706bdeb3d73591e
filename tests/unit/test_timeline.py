"""What a line of a search shows of a hit."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from fraiseql_assets.cli.timeline import counted, line_of
from fraiseql_assets.operational.search.schema import HIT_SCHEMA

HOSTILE = "\x1b[2J\x07\x9b31m\u202e\x7f"
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


def test_the_time_of_a_hit_says_that_it_is_utc() -> None:
    assert line_of(failed_request()).plain.startswith("2026-01-01 00:00:00.000Z  request ")


def test_an_error_without_highlights_is_shown_as_it_is() -> None:
    line = line_of(failed_request(error_messages=["a <em>tag</em> of its own"], highlights=None))
    assert line.plain.endswith("✗ a <em>tag</em> of its own")


@pytest.mark.parametrize("kind", ["event", "request"])
def test_no_text_of_a_hit_controls_a_terminal(kind: str) -> None:
    texts = {
        field.name: [HOSTILE] if pa.types.is_list(field.type) else HOSTILE
        for field in HIT_SCHEMA
        if field.type in (pa.utf8(), pa.list_(pa.utf8()))
    }
    for changes in (HOSTILE, '{"status":{"old":"\\u001b[2J","new":"\\u009b"}}'):
        line = line_of(failed_request(**{**texts, "kind": kind, "changes": changes})).plain
        assert [c for c in line if not c.isprintable() and c != "\n"] == []
    group = counted({"kind": kind, "key": HOSTILE, "count": 1}).plain
    assert group.isprintable()
