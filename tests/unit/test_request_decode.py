"""Recorded requests, read back as rows."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fraiseql_assets.events.messages import Messages
from fraiseql_assets.requests.decode import decode_parts
from fraiseql_assets.requests.record import RequestError, RequestRecord, message_of
from fraiseql_assets.requests.schema import COLUMN_DESCRIPTIONS, REQUEST_SCHEMA

STORED = 1_767_225_600_000_000_000


def messages(*payloads: bytes) -> Messages:
    count = len(payloads)
    return Messages(
        list(range(1, count + 1)), [STORED] * count, ["s"] * count, [b""] * count, list(payloads)
    )


def minimal(**fields: Any) -> bytes:
    body = {"query": "{ a }", "status": "ok", "transport": "http", "timestamp": "2026-01-01T00:00Z"}
    return json.dumps({**body, **fields}).encode()


def test_a_recorded_request_round_trips() -> None:
    record = RequestRecord(
        query="query Orders($id: ID!) { order(id: $id) { total } }",
        transport="flight",
        status="error",
        duration_ms=12.5,
        variables={"id": "o-1", "é": ["\u2028", 1.10]},
        operation_name="Orders",
        user_id="ada",
        tenant_id="acme",
        errors=[RequestError("no such order", "NOT_FOUND"), RequestError("and more")],
        rows=3,
        bytes=99,
        trace_id="a" * 32,
        timestamp=datetime(2026, 1, 1, 12, 0, 0, 123456, UTC),
    )
    [decoded] = decode_parts(messages(message_of(record, "r", ()).payload))
    [row] = decoded.batches[0].to_pylist()
    assert decoded.rejects == []
    assert decoded.batches[0].schema == REQUEST_SCHEMA
    assert json.loads(row.pop("variables")) == record.variables
    assert len(row.pop("query_hash")) == 64
    assert row == {
        "request_id": record.request_id,
        "timestamp": record.timestamp,
        "operation_type": "query",
        "operation_name": "Orders",
        "query": record.query,
        "user_id": "ada",
        "tenant_id": "acme",
        "transport": "flight",
        "status": "error",
        "error_codes": ["NOT_FOUND"],
        "error_messages": ["no such order", "and more"],
        "duration_ms": 12.5,
        "rows": 3,
        "bytes": 99,
        "trace_id": "a" * 32,
        "stream_seq": 1,
        "stream_row": 0,
        "stream_time": datetime(2026, 1, 1, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"[]", "array instead of an object"),
        (b"{}", "query"),
        (b"\xff", "not UTF-8"),
        (minimal(timestamp="noon"), "no RFC 3339 time"),
        (minimal(query="\ud800"), "surrogate"),
        (minimal(rows=2**70), "wrong type"),
    ],
)
def test_an_invalid_request_message_rejects_only_itself(payload: bytes, reason: str) -> None:
    [decoded] = decode_parts(messages(minimal(), payload, minimal()))
    assert decoded.batches[0]["stream_seq"].to_pylist() == [1, 3]
    [reject] = decoded.rejects
    assert (reject.sequence, reject.payload) == (2, payload)
    assert reason in reject.reason


def test_every_column_is_described() -> None:
    assert list(COLUMN_DESCRIPTIONS) == REQUEST_SCHEMA.names
