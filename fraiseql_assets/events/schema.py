"""The one Arrow schema of events, from decoding to Flight.

The first eight columns are FraiseQL's own event schema, in its order and under its names; the rest
are additions. The schema only ever grows: no column is renamed, reordered or removed.
"""

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")

EVENT_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.utf8(), nullable=False),
        pa.field("event_type", pa.utf8(), nullable=False),
        pa.field("entity_type", pa.utf8(), nullable=False),
        pa.field("entity_id", pa.utf8(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("data", pa.utf8(), nullable=False),
        pa.field("user_id", pa.utf8()),
        pa.field("tenant_id", pa.utf8()),
        pa.field("changes", pa.utf8()),
        pa.field("seq", pa.int64()),
        pa.field("actor_type", pa.utf8()),
        pa.field("acting_for", pa.utf8()),
        pa.field("schema_version", pa.utf8()),
        pa.field("cdc_source", pa.utf8()),
        pa.field("duration_ms", pa.int64()),
        pa.field("stream_seq", pa.uint64(), nullable=False),
        pa.field("stream_row", pa.uint32(), nullable=False),
        pa.field("stream_time", TIMESTAMP, nullable=False),
    ]
)

STREAM_COLUMNS = ("stream_seq", "stream_row", "stream_time")
"""The columns that the log decides, not the producer: JetStream's sequence, the row inside an
Arrow-batch message, and the time of storage, which decides the partition."""

COLUMN_DESCRIPTIONS = {
    "event_id": "The event's identity: counted once per day however often it was published.",
    "event_type": "INSERT, UPDATE, DELETE or CUSTOM.",
    "entity_type": "The GraphQL type that changed, such as Order.",
    "entity_id": "Which of its entities.",
    "timestamp": "When the change happened, by the producer's clock.",
    "data": "The entity after the change, JSON text exactly as published.",
    "user_id": "Who made the change.",
    "tenant_id": "Whose data it is (older producers: org_id).",
    "changes": "Field by field, old and new, JSON text exactly as published.",
    "seq": "The producer's own sequence.",
    "actor_type": "human_user, service_account, ai_agent or system_job.",
    "acting_for": "On whose behalf the actor acted.",
    "schema_version": "The producer's schema version.",
    "cdc_source": "Which change-data-capture source reported it, when one did.",
    "duration_ms": "How long the mutation took, in milliseconds.",
    "stream_seq": "JetStream's sequence of the message.",
    "stream_row": "The row inside an Arrow-batch message, 0 otherwise.",
    "stream_time": "When JetStream stored the message: decides the partition.",
}
