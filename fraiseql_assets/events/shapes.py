"""The JSON shapes of producers, and the columns of their fields.

A  observer event   event_type, entity_type, entity_id, data, timestamp, …
B  CDC event        object_type, op, object_id, after, before, commit_time, seq
C  documented form  event, entity, subject, timestamp, data

An event is identified, and so counts once, by what its producer wrote: `id` (or `event_id`),
in a CDC event else `{object_type}:{seq}`, in the documented form else the message's own
deduplication id or its position in the log. An observer event and the CDC event of the same change
are one event where both carry the same id, and two where the CDC event carries none: the `seq` of
an observer event is its producer's own count and need not be the database's.
"""

import json
import uuid
from typing import Annotated

import msgspec
from msgspec import Meta

from fraiseql_assets.events.messages import message_id

NOTHING = msgspec.Raw(b"")

Text = str | int | None
"""Ids are text; older producers write numbers."""

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Number = Whole | Annotated[float, Meta(ge=-(2.0**63), lt=2.0**63)]
"""The range of 64 bits."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

KNOWN_TYPES = {
    "insert": "INSERT", "inserted": "INSERT", "create": "INSERT", "created": "INSERT",
    "update": "UPDATE", "updated": "UPDATE",
    "delete": "DELETE", "deleted": "DELETE",
    "custom": "CUSTOM",
}  # fmt: skip
"""The verbs of older producers, mapped to the four of newer ones. Other verbs are kept."""

KINDS = {
    b"{": "object", b"[": "array", b'"': "string", b"t": "boolean", b"f": "boolean", b"n": "null",
}  # fmt: skip
"""The type of a JSON text by its first character; all others are numbers."""

NAMESPACE = uuid.UUID("6f0f5a1e-6f3c-5d0e-9f5b-6a8f0c1d2e3b")
"""The namespace of ids for events without one."""


class WireEvent(msgspec.Struct, gc=False):
    """Every field of the shapes A, B and C; unknown fields are ignored."""

    # A
    id: Text = None
    event_id: Text = None
    event_type: str | None = None
    entity_type: str | None = None
    entity_id: Text = None
    data: msgspec.Raw = NOTHING
    changes: msgspec.Raw = NOTHING
    user_id: Text = None
    tenant_id: Text = None
    org_id: Text = None
    timestamp: str | None = None
    duration_ms: Number | str | None = None
    seq: Whole | str | None = None
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


OF_CDC = frozenset({"object_type", "op", "object_id", "after", "before", "commit_time"})
OF_DOCUMENTED = frozenset({"event", "entity"})
"""The fields that only one shape has. In another shape they may have any value."""


def of_its_shape(payload: bytes) -> bytes:
    """The payload with only the fields of its shape.

    Raises:
        msgspec.MsgspecError: it is no JSON object.
    """
    fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    present = {name for name, value in fields.items() if bytes(value) != b"null"}
    if "event_type" in present:
        foreign = OF_CDC | OF_DOCUMENTED
    elif present & {"op", "object_type"}:
        foreign = OF_DOCUMENTED | {"data", "entity_type", "entity_id"}
        if not bytes(fields.get("id", NOTHING)).startswith(b'"'):
            foreign |= {"id"}
    else:
        foreign = OF_CDC
    return msgspec.json.encode({n: value for n, value in fields.items() if n not in foreign})


def as_observer_event(wire: WireEvent, subject: str, headers: bytes, seq: int) -> WireEvent:
    """The event in shape A, from any of the shapes."""
    if wire.event_type is None and (wire.op is not None or wire.object_type is not None):
        return _from_cdc(wire, headers)
    if wire.id is None:
        wire.id = wire.event_id
    if wire.event_type is None and wire.event is not None:
        return _from_documented(wire, subject, headers, seq)
    if wire.event_type is not None and (wire.entity_type is None or "." in wire.event_type):
        entity, kind = _split(wire.event_type)
        wire.entity_type = wire.entity_type or entity
        wire.event_type = kind
    return wire


def _from_cdc(wire: WireEvent, headers: bytes) -> WireEvent:
    after = bytes(wire.after)
    return WireEvent(
        id=_cdc_id(wire, headers),
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


def _cdc_id(wire: WireEvent, headers: bytes) -> Text:
    """The record's own id, or the fields that identify the change. A number under `id` is the id of
    a row, which is unique only in its table and does not identify a change.
    """
    if wire.event_id is not None:
        return wire.event_id
    if isinstance(wire.id, str):
        return wire.id
    if wire.object_type is not None and wire.seq is not None:
        return f"{wire.object_type}:{wire.seq}"
    return message_id(headers)


def _from_documented(wire: WireEvent, subject: str, headers: bytes, seq: int) -> WireEvent:
    """The form has no id, so the message's deduplication id or its log position identifies it."""
    entity, kind = _split(wire.event or "")
    name = message_id(headers) or f"{subject}#{seq}"
    wire.id = wire.id if wire.id is not None else str(uuid.uuid5(NAMESPACE, name))
    wire.event_type = kind
    wire.entity_type = wire.entity_type or wire.entity or entity
    if wire.entity_id is None:
        wire.entity_id = _id_inside(wire.data)
    return wire


class _Identified(msgspec.Struct, gc=False):
    id: Text = None


def _id_inside(data: msgspec.Raw) -> Text:
    """The `id` of the entity in `data`, empty if it has none."""
    try:
        found = msgspec.json.decode(data, type=_Identified).id
    except msgspec.MsgspecError:
        found = None
    return "" if found is None else found


def _split(event: str) -> tuple[str | None, str]:
    """`Order.Created` is the creation of an Order."""
    entity, dot, verb = event.rpartition(".")
    return (entity if dot else None), verb


def explain(payload: bytes, error: Exception) -> str:
    """Why a payload is not an event, in one sentence for its producer."""
    if not payload.strip():
        return "the message holds nothing but spaces" if payload else "the message is empty"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {payload[error.start]:#04x} at offset {error.start}"
    if isinstance(error, RecursionError):
        return "nested too deeply to be read"
    if isinstance(error, msgspec.ValidationError):
        kind = KINDS.get(payload.removeprefix(BYTE_ORDER_MARK).lstrip()[:1], "number")
        if kind != "object":
            return f"a JSON {kind} instead of an object"
        return f"a field has the wrong type: {error}"
    if isinstance(error, msgspec.MsgspecError):
        lone = _lone_surrogate(payload)
        if lone:
            return f"a text holds the lone surrogate {lone}: half of a pair is no character"
        return f"not JSON: {error}"
    return str(error)


def _lone_surrogate(payload: bytes) -> str | None:
    """A lone surrogate, as JSON escapes it, in what is JSON otherwise."""
    try:
        texts = json.dumps(json.loads(payload), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    try:
        texts.encode()
    except UnicodeEncodeError as error:
        return f"\\u{ord(texts[error.start]):04x}"
    return None
