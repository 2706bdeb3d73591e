"""Messages as the log returns them, for the tests of the decoder."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.messages import Messages, header_block
from fraiseql_assets.events.schema import EVENT_SCHEMA

SUBJECT = "fraiseql.mutation.Order.INSERT"
STORED_NS = 1_772_000_000_123_456_789
TIME = "2026-01-01T00:00:00.123456Z"

Headers = dict[str, str] | None


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def observer(**fields: Any) -> bytes:
    """An observer event with the required fields and the given ones."""
    required = {
        "id": "e-1",
        "event_type": "INSERT",
        "entity_type": "Order",
        "entity_id": "o-1",
        "data": {},
        "timestamp": TIME,
    }
    return json.dumps({**required, **fields}).encode()


def cdc(**fields: Any) -> bytes:
    """A CDC event with the required fields and the given ones."""
    required = {
        "seq": 7,
        "object_type": "Order",
        "op": "insert",
        "object_id": "o-1",
        "after": {},
        "before": None,
        "commit_time": TIME,
    }
    return json.dumps({**required, **fields}).encode()


def without(payload: bytes, field: str) -> bytes:
    fields = json.loads(payload)
    del fields[field]
    return json.dumps(fields).encode()


def messages(payloads: Sequence[bytes], headers: Sequence[Headers] | None = None) -> Messages:
    """Messages 1, 2, 3 … with these payloads, stored one second apart."""
    count = len(payloads)
    return Messages(
        sequences=list(range(1, count + 1)),
        times=[STORED_NS + n * 10**9 for n in range(count)],
        subjects=[SUBJECT] * count,
        headers=[header_block(each) for each in headers or [None] * count],
        payloads=list(payloads),
    )


def rows(payload: bytes, headers: Headers = None) -> list[dict[str, Any]]:
    """The events in a valid message."""
    found = decode(messages([payload], [headers]))
    assert [reject.reason for reject in found.rejects] == []
    assert all(batch.schema.equals(EVENT_SCHEMA) for batch in found.batches)
    return pa.Table.from_batches(found.batches).to_pylist()


def row(payload: bytes, headers: Headers = None) -> dict[str, Any]:
    """The only event in a message."""
    [only] = rows(payload, headers)
    return only


def reason(payload: bytes, headers: Headers = None) -> str:
    """The reason why a message was rejected."""
    found = decode(messages([payload], [headers]))
    assert found.batches == []
    [reject] = found.rejects
    return reject.reason
