"""A row of the change log as an observer event.

A row is one event, identified by its `id`. That is the id of the event, which the planes count
once, and the id of the message, which the log stores once.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from fraiseql_assets.events.encode import Outgoing

REQUIRED = ("pk_entity_change_log", "object_type", "modification_type", "created_at")
"""The required columns of a change log."""

COLUMNS = {
    "id": "uuid",
    "object_type": "text",
    "modification_type": "text",
    "object_id": "text",
    "object_data": "text",
    "object_data_before": "text",
    "tenant_id": "text",
    "fk_contact": "text",
    "created_at": "timestamptz",
    "commit_time": "timestamptz",
    "duration_ms": "bigint",
    "seq": "bigint",
    "actor_type": "text",
    "acting_for": "text",
    "schema_version": "text",
    "extra_metadata": "text",
}
"""The columns of an event, as SQL. Older tables lack some."""

SIZED = ("object_data", "object_data_before")
"""The columns that determine the size of a row."""

BRIDGE = "Fraiseql-Bridge"
"""The header with the name of the bridge that published a message."""

NAMESPACE = uuid.UUID("0b1d9c1e-93d4-5b7a-8f5e-2d1c6a7e4f30")
"""The namespace of ids for rows of tables without `id`."""

VERBS = ("INSERT", "UPDATE", "DELETE", "CUSTOM")
NOT_IN_A_SUBJECT = re.compile(r"[\s.*>\x00-\x20\x7f]")
NOTHING = (None, "null")

Fields = dict[str, msgspec.Raw]


def event_id(row: Mapping[str, Any], bridge: str) -> str:
    """The id of a row's event: the row's id, or one derived from its number."""
    own = row["id"]
    return str(own) if own is not None else str(uuid.uuid5(NAMESPACE, f"{bridge}:{row['number']}"))


def message_of(row: Mapping[str, Any], *, prefix: str, bridge: str) -> Outgoing:
    """The message of a row, in the shape that FraiseQL's observers publish."""
    name = event_id(row, bridge)
    entity, kind = row["object_type"], row["modification_type"]
    after, before = row["object_data"], row["object_data_before"]
    body = {
        "id": name,
        "event_type": kind.upper() if kind.upper() in VERBS else kind,
        "entity_type": entity,
        "entity_id": row["object_id"] or "",
        "data": _raw(before if after in NOTHING else after) or msgspec.Raw(b"{}"),
        "changes": _changes(before, after),
        "user_id": row["fk_contact"],
        "tenant_id": row["tenant_id"],
        "timestamp": _moment(row["commit_time"] or row["created_at"]),
        "duration_ms": row["duration_ms"],
        "seq": row["seq"],
        "actor_type": row["actor_type"],
        "acting_for": row["acting_for"],
        "schema_version": row["schema_version"],
        "cdc_source": _cdc_source(row["extra_metadata"]),
    }
    verb = kind.upper() if kind.upper() in VERBS else "CUSTOM"
    subject = f"{prefix}.{NOT_IN_A_SUBJECT.sub('_', entity) or '_'}.{verb}"
    return Outgoing(subject, msgspec.json.encode(body), {"Nats-Msg-Id": name, BRIDGE: bridge})


def _raw(text: str | None) -> msgspec.Raw | None:
    """A JSON text, copied unchanged; None if it is missing or null."""
    return None if text is None or text == "null" else msgspec.Raw(text.encode())


def _changes(before: str | None, after: str | None) -> dict[str, dict[str, msgspec.Raw]] | None:
    """The old and new value of each changed field, if the row has both images."""
    old, new = _fields(before), _fields(after)
    if old is None or new is None:
        return None
    null = msgspec.Raw(b"null")
    return {
        name: {"old": old.get(name, null), "new": new.get(name, null)}
        for name in [*new, *(name for name in old if name not in new)]
        if bytes(old.get(name, null)) != bytes(new.get(name, null))
    }


def _fields(text: str | None) -> Fields | None:
    """The fields of a JSON object as texts; PostgreSQL writes equal values identically."""
    if text is None or not text.startswith("{"):
        return None
    return msgspec.json.decode(text.encode(), type=Fields)


def _cdc_source(metadata: str | None) -> str | None:
    """`fallback_trigger` for rows that FraiseQL's trigger captured."""
    source = (_fields(metadata) or {}).get("cdc_source")
    return None if source is None else str(msgspec.json.decode(source))


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
