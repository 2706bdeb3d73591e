"""The Arrow schemas of the analytics assets, as readers see them."""

import pyarrow as pa

from fraiseql_assets.catalogue import ANALYTICS_EVENTS, EVENT_TYPE_STATS, EVENTS_HOURLY, ORG_DAILY
from fraiseql_assets.events.schema import COLUMN_DESCRIPTIONS as EVENT_DESCRIPTIONS
from fraiseql_assets.events.schema import EVENT_SCHEMA, TIMESTAMP

HOUR = pa.timestamp("s", tz="UTC")


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SCHEMAS: dict[str, pa.Schema] = {
    ANALYTICS_EVENTS.key: EVENT_SCHEMA,
    EVENTS_HOURLY.key: pa.schema(
        [
            _required("hour", HOUR),
            _required("entity_type", pa.utf8()),
            _required("event_type", pa.utf8()),
            _required("event_count", pa.uint64()),
            _required("unique_entities", pa.uint64()),
        ]
    ),
    ORG_DAILY.key: pa.schema(
        [
            _required("day", pa.date32()),
            pa.field("tenant_id", pa.utf8()),
            _required("event_count", pa.uint64()),
            _required("unique_entities", pa.uint64()),
            _required("unique_users", pa.uint64()),
            _required("entity_types", pa.list_(_required("item", pa.utf8()))),
            _required("created_count", pa.uint64()),
            _required("updated_count", pa.uint64()),
            _required("deleted_count", pa.uint64()),
        ]
    ),
    EVENT_TYPE_STATS.key: pa.schema(
        [
            _required("hour", HOUR),
            _required("event_type", pa.utf8()),
            _required("event_count", pa.uint64()),
            _required("events_per_second", pa.float64()),
            _required("unique_entities", pa.uint64()),
            _required("first_seen", TIMESTAMP),
            _required("last_seen", TIMESTAMP),
            pa.field("mean_duration_ms", pa.float64()),
            pa.field("max_duration_ms", pa.int64()),
        ]
    ),
}

COLUMN_DESCRIPTIONS: dict[str, str] = {
    **EVENT_DESCRIPTIONS,
    "hour": "The hour of the events' own time, in UTC.",
    "day": "The day of the events' own time, in UTC.",
    "event_count": "Events.",
    "unique_entities": "Distinct entities, estimated to within about one per cent.",
    "unique_users": "Distinct users, estimated to within about one per cent.",
    "entity_types": "The entity types among the events, sorted.",
    "created_count": "Events of the type INSERT.",
    "updated_count": "Events of the type UPDATE.",
    "deleted_count": "Events of the type DELETE.",
    "events_per_second": "Events of the hour, divided by 3,600.",
    "first_seen": "The earliest event's own time.",
    "last_seen": "The latest event's own time.",
    "mean_duration_ms": "The mutations' mean duration in milliseconds, of those that have one.",
    "max_duration_ms": "The longest mutation in milliseconds.",
}
