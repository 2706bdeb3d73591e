"""The JSON shapes that producers write, and which columns each of their fields becomes.

A  observer event   event_type, entity_type, entity_id, data, timestamp, …
B  CDC event        object_type, op, object_id, after, before, commit_time, seq
C  documented form  event, entity, subject, timestamp, data
"""

import uuid
from typing import Any

import msgspec

NOTHING = msgspec.Raw(b"")

Text = str | int | None
"""Ids are text; older producers write numbers."""

KNOWN_TYPES = {
    "insert": "INSERT", "inserted": "INSERT", "create": "INSERT", "created": "INSERT",
    "update": "UPDATE", "updated": "UPDATE",
    "delete": "DELETE", "deleted": "DELETE",
    "custom": "CUSTOM",
}  # fmt: skip
"""The verbs of older producers, in the four that newer ones write. Other verbs are kept."""

NAMESPACE = uuid.UUID("6f0f5a1e-6f3c-5d0e-9f5b-6a8f0c1d2e3b")
"""For ids of events that carry none."""


class WireEvent(msgspec.Struct, gc=False):
    """Every field of the shapes A, B and C; unknown fields are ignored."""

    # A
    id: Text = None
    event_type: str | None = None
    entity_type: str | None = None
    entity_id: Text = None
    data: msgspec.Raw = NOTHING
    changes: msgspec.Raw = NOTHING
    user_id: Text = None
    tenant_id: Text = None
    org_id: Text = None
    timestamp: str | None = None
    duration_ms: int | float | None = None
    seq: int | None = None
    actor_type: str | None = None
    acting_for: Text = None
    schema_version: Text = None
    cdc_source: str | None = None
    # B
    object_type: str | None = None
    op: str | None = None
    object_id: Text = None
    after: msgspec.Raw = NOTHING
    before: msgspec.Raw = NOTHING
    commit_time: str | None = None
    # C
    event: str | None = None
    entity: str | None = None
    subject: str | None = None


def as_observer_event(
    wire: WireEvent, subject: str, headers: dict[str, str] | None, seq: int
) -> WireEvent:
    """The same event in shape A, whichever of the shapes it came in."""
    if wire.op is not None or wire.object_type is not None:
        return _from_cdc(wire)
    if wire.event is not None and wire.event_type is None:
        return _from_documented(wire, subject, headers, seq)
    if wire.event_type is not None and (wire.entity_type is None or "." in wire.event_type):
        entity, kind = _split(wire.event_type)
        wire.entity_type = wire.entity_type or entity
        wire.event_type = kind
    return wire


def _from_cdc(wire: WireEvent) -> WireEvent:
    """`(object_type, seq)` identifies a change: it is the event's id."""
    identified = wire.object_type is not None and wire.seq is not None
    after = bytes(wire.after)
    return WireEvent(
        id=f"{wire.object_type}:{wire.seq}" if identified else None,
        event_type=wire.op,
        entity_type=wire.object_type,
        entity_id=wire.object_id,
        data=wire.before if after in (b"", b"null") and bytes(wire.before) else wire.after,
        changes=wire.changes,
        user_id=wire.user_id,
        tenant_id=wire.tenant_id if wire.tenant_id is not None else wire.org_id,
        timestamp=wire.commit_time if wire.commit_time is not None else wire.timestamp,
        duration_ms=wire.duration_ms,
        seq=wire.seq,
        actor_type=wire.actor_type,
        acting_for=wire.acting_for,
        schema_version=wire.schema_version,
        cdc_source=wire.cdc_source or "cdc",
    )


def _from_documented(
    wire: WireEvent, subject: str, headers: dict[str, str] | None, seq: int
) -> WireEvent:
    """The form has no id: the message's own deduplication id names it, or its place."""
    entity, kind = _split(wire.event or "")
    name = (headers or {}).get("Nats-Msg-Id") or f"{subject}#{seq}"
    wire.id = wire.id if wire.id is not None else str(uuid.uuid5(NAMESPACE, name))
    wire.event_type = kind
    wire.entity_type = wire.entity_type or wire.entity or entity
    if wire.entity_id is None:
        wire.entity_id = _id_inside(wire.data)
    return wire


class _Identified(msgspec.Struct, gc=False):
    id: Text = None


def _id_inside(data: msgspec.Raw) -> Text:
    """The `id` of the entity in `data`, empty when it has none."""
    try:
        found = msgspec.json.decode(data, type=_Identified).id
    except msgspec.MsgspecError:
        found = None
    return "" if found is None else found


def _split(event: str) -> tuple[str | None, str]:
    """`Order.Created` is a creation of an Order."""
    entity, dot, verb = event.rpartition(".")
    return (entity if dot else None), verb


def explain(payload: bytes, error: Exception) -> str:
    """Why a payload is no event, in a sentence for the one who published it."""
    if not payload:
        return "the message is empty"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {payload[error.start]:#04x} at offset {error.start}"
    if isinstance(error, msgspec.ValidationError):
        kind = _kind(payload)
        if kind != "object":
            return f"valid JSON, but a JSON {kind} instead of an object"
        return f"a field has the wrong type: {error}"
    if isinstance(error, msgspec.MsgspecError):
        return f"not JSON: {error}"
    return str(error)


def _kind(payload: bytes) -> str:
    value: Any = msgspec.json.decode(payload)
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
