"""Events as planes receive them: ordinary events, and events with extreme values."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from fraiseql_assets.events.columns import EARLIEST, LATEST
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.planes import Batching, Block, LedgerEntry
from fraiseql_assets.ranges import SequenceRange

STREAM = "log"
MORNING = datetime.now(UTC).replace(hour=9, minute=26, second=53, microsecond=589_793) - timedelta(
    1
)
DAY = MORNING.date()
"""Yesterday, because a plane deletes days past their retention."""
BATCHING = Batching(batch_messages=1_000, batch_bytes=2**20, block_rows=1_000, block_bytes=2**20)


def event(sequence: int, **fields: Any) -> dict[str, Any]:
    """The event at a sequence of the log. Each sequence has a different id."""
    return {
        "event_id": f"e-{sequence}",
        "event_type": "INSERT",
        "entity_type": "Order",
        "entity_id": f"o-{sequence % 7}",
        "timestamp": MORNING + timedelta(seconds=sequence),
        "data": json.dumps({"number": sequence, "status": "paid"}),
        "tenant_id": "acme",
        "duration_ms": sequence,
        "stream_seq": sequence,
        "stream_row": 0,
        "stream_time": MORNING + timedelta(microseconds=sequence),
        **fields,
    }


def table(events: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(events), schema=EVENT_SCHEMA)


def block(events: Sequence[dict[str, Any]], *, number: int = 0, day: date = DAY) -> Block:
    """Events as one block, of the range that they span."""
    sequences = SequenceRange(events[0]["stream_seq"], events[-1]["stream_seq"])
    token = f"{STREAM}:{sequences}:{BATCHING}:{number}"
    return Block(table(events), STREAM, sequences, day, number, token)


def entry(first: int, last: int, *, state: Any = "begun", **fields: Any) -> LedgerEntry:
    """A ledger entry for the test's stream and day."""
    return LedgerEntry(
        **{
            "stream": STREAM,
            "range": SequenceRange(first, last),
            "day": DAY,
            "state": state,
            "batching": BATCHING,
            "attempt": 1,
            "run_id": "run-1",
            "at": datetime.now(UTC),
            **fields,
        }
    )


texts = st.text(max_size=40) | st.sampled_from(
    [
        "",
        " ",
        "\x00",
        '"',
        "\\",
        '\\"\\\\',
        "\n\r\t\b\f\x01\x1f\x7f",
        "\u2028\u2029",
        "😀👩‍👩‍👧‍👦",
        "é" * 300,
        "sha256:",
        "x" * 600,
        "ß" * 40_000,
    ]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
json_texts = st.builds(
    json.dumps,
    _values | st.dictionaries(texts, _values, max_size=4),
    ensure_ascii=st.booleans(),
    indent=st.sampled_from([None, 2]),
)
AWKWARD_JSON = (
    "{}",
    " { } ",
    "[]",
    "null",
    '"text"',
    "17",
    "not JSON",
    "",
    "{",
    "{} {}",
    '{"a":1},{"b":2}',
    '{},"event_id":"another"',
    '{"a":1,"a":2}',
    '{"":{"":1},".":2,"a.b":3,"..":4}',
    '{"a\\u0000b":"c\\u0000d"}',
    '{"half":"\\ud83d"}',
    '{"large":1e400,"long":' + "9" * 2_000 + ',"small":1e-400}',
    '{"exact":1.10,"exponent":1E+2,"negative":-0.0}',
    '{"deep":' * 60 + "1" + "}" * 60,
    "[" * 1_100 + "]" * 1_100,
    '{"wide":"' + "w" * 40_000 + '"}',
    '{"' + "k" * 40_000 + '":"v"}',
)
numbers = st.none() | st.sampled_from([-(2**63), -1, 0, 2**63 - 1]) | st.integers(-(2**40), 2**40)
times = st.sampled_from([EARLIEST, LATEST, datetime(1970, 1, 1, tzinfo=UTC)]) | st.datetimes(
    EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC)
)


@st.composite
def extreme_events(draw: st.DrawFn, most: int = 6) -> list[dict[str, Any]]:
    """Events with any values that their columns allow, at ascending log positions."""
    first = draw(st.sampled_from([1, 2**53 - 1, 2**62]))
    ids = draw(st.lists(texts, min_size=1, max_size=most, unique=True))
    optional = st.none() | texts
    data = json_texts | st.sampled_from(AWKWARD_JSON)
    return [
        {
            "event_id": name,
            **{column: draw(texts) for column in ("event_type", "entity_type", "entity_id")},
            "timestamp": draw(times),
            "data": draw(data),
            "changes": draw(st.none() | data),
            **{
                column: draw(optional)
                for column in (
                    *("user_id", "tenant_id", "actor_type"),
                    *("acting_for", "schema_version", "cdc_source"),
                )
            },
            "seq": draw(numbers),
            "duration_ms": draw(numbers),
            "stream_seq": first + number,
            "stream_row": draw(st.sampled_from([0, 2**32 - 1])),
            "stream_time": MORNING + timedelta(microseconds=number),
        }
        for number, name in enumerate(ids)
    ]
