"""Decodes request logs (shape E) into one schema. An invalid message is a reject."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from fraiseql_assets.events.columns import InvalidValues, stored_at, timestamps
from fraiseql_assets.events.messages import Decoded, Messages, Reject
from fraiseql_assets.events.shapes import NOTHING, Number, Text, Whole, explain
from fraiseql_assets.requests.schema import REQUEST_SCHEMA


class RecordedError(msgspec.Struct, gc=False):
    """An error in a message."""

    message: str = ""
    code: str | None = None


class WireRequest(msgspec.Struct, gc=False):
    """Every field of shape E; unknown fields are ignored."""

    query: str
    status: str
    transport: str
    timestamp: str
    id: Text = None
    operation_type: str = "unknown"
    operation_name: str | None = None
    query_hash: str | None = None
    variables: msgspec.Raw = NOTHING
    user_id: Text = None
    tenant_id: Text = None
    errors: list[RecordedError] | None = None
    duration_ms: Number | None = None
    rows: Whole | None = None
    bytes: Whole | None = None
    trace_id: str | None = None


_decoder = msgspec.json.Decoder(WireRequest)


def decode_parts(messages: Messages) -> Iterator[Decoded]:
    """Turns messages into record batches of `REQUEST_SCHEMA`, in stream order, and rejects.

    Nothing is raised for what a message holds.
    """
    columns: list[list[Any]] = [[] for _ in REQUEST_SCHEMA]
    rejects: list[Reject] = []
    for number, payload in enumerate(messages.payloads):
        try:
            row = _row(payload, messages, number)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, InvalidValues) as error:
            rejects.append(messages.reject(number, _explained(payload, error)))
            continue
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    if not columns[0]:
        yield Decoded([], rejects)
        return
    arrays = [
        pa.array(column, field.type) for column, field in zip(columns, REQUEST_SCHEMA, strict=True)
    ]
    yield Decoded([pa.RecordBatch.from_arrays(arrays, schema=REQUEST_SCHEMA)], rejects)


def _row(payload: bytes, messages: Messages, number: int) -> list[Any]:
    payload.decode()
    wire = _decoder.decode(payload)
    errors = wire.errors or []
    variables = bytes(wire.variables).decode()
    name = str(wire.id) if wire.id not in (None, "") else f"seq-{messages.sequences[number]}"
    [moment] = timestamps([wire.timestamp])
    [stored] = stored_at([messages.times[number]])
    row = [
        name,
        moment,
        wire.operation_type,
        wire.operation_name,
        wire.query,
        wire.query_hash or "",
        variables if variables not in ("", "null") else None,
        None if wire.user_id is None else str(wire.user_id),
        None if wire.tenant_id is None else str(wire.tenant_id),
        wire.transport,
        wire.status,
        [error.code for error in errors if error.code],
        [error.message for error in errors],
        None if wire.duration_ms is None else float(wire.duration_ms),
        None if wire.rows is None else int(wire.rows),
        None if wire.bytes is None else int(wire.bytes),
        wire.trace_id,
        messages.sequences[number],
        0,
        stored,
    ]
    for text in (wire.query, wire.operation_name, wire.trace_id, *row[11], *row[12]):
        # Half of a surrogate pair is not a character.
        (text or "").encode()
    return row


def _explained(payload: bytes, error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "a text holds half of a surrogate pair, which is no character"
    return explain(payload, error)
