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
