"""Encodes recorded requests as messages, in the shape in which they are published (shape E)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from fraiseql_assets.events.encode import Outgoing

_AS_PUBLISHED = (
    *("operation_type", "operation_name", "query", "query_hash", "user_id", "tenant_id"),
    *("transport", "status", "duration_ms", "rows", "bytes", "trace_id"),
)


def request_messages(batch: pa.RecordBatch, prefix: str) -> Iterator[Outgoing]:
    """One message for each request, `{prefix}.{operation_type}`, which decodes to the same row."""
    encode = msgspec.json.Encoder().encode
    for row in batch.to_pylist():
        variables = row["variables"]
        moment: datetime = row["timestamp"]
        body: dict[str, Any] = {
            "id": row["request_id"],
            "timestamp": moment.isoformat(),
            **{name: row[name] for name in _AS_PUBLISHED},
            "variables": None if variables is None else msgspec.Raw(variables.encode()),
            "errors": _errors(row["error_codes"], row["error_messages"]),
        }
        subject = f"{prefix}.{row['operation_type']}"
        yield Outgoing(subject, encode(body), {"Nats-Msg-Id": row["request_id"]})


def _errors(codes: list[str], messages: list[str]) -> list[dict[str, str | None]]:
    """The errors of a row. The row has the codes in a separate list."""
    padded = [*codes, *[None] * (len(messages) - len(codes))]
    return [
        {"message": message, "code": code} for message, code in zip(messages, padded, strict=True)
    ]
