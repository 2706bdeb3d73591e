"""The searchable fields, and the schemas of search results."""

from typing import Literal

import pyarrow as pa

from fraiseql_assets.events.schema import TIMESTAMP

Kind = Literal["event", "request"]
FieldType = Literal["keyword", "long", "double", "date", "text", "flattened"]

FIELDS: dict[str, FieldType] = {
    "text": "text",
    "timestamp": "date",
    "tenant_id": "keyword",
    "user_id": "keyword",
    "duration_ms": "double",
    "stream_seq": "long",
    "stream_time": "date",
    # Events.
    "event_id": "keyword",
    "event_type": "keyword",
    "entity_type": "keyword",
    "entity_id": "keyword",
    "data": "flattened",
    "changes": "flattened",
    "seq": "long",
    "actor_type": "keyword",
    "acting_for": "keyword",
    "schema_version": "keyword",
    "cdc_source": "keyword",
    # Requests.
    "request_id": "keyword",
    "operation_type": "keyword",
    "operation_name": "keyword",
    "query_hash": "keyword",
    "variables": "flattened",
    "transport": "keyword",
    "status": "keyword",
    "error_codes": "keyword",
    "rows": "long",
    "bytes": "long",
    "trace_id": "keyword",
}
"""The fields that a query may name; below a flattened one, every path."""

HIT_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.utf8(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("id", pa.utf8(), nullable=False),
        pa.field("tenant_id", pa.utf8()),
        pa.field("user_id", pa.utf8()),
        pa.field("entity_type", pa.utf8()),
        pa.field("event_type", pa.utf8()),
        pa.field("entity_id", pa.utf8()),
        pa.field("data", pa.utf8()),
        pa.field("changes", pa.utf8()),
        pa.field("operation_type", pa.utf8()),
        pa.field("operation_name", pa.utf8()),
        pa.field("query", pa.utf8()),
        pa.field("variables", pa.utf8()),
        pa.field("transport", pa.utf8()),
        pa.field("status", pa.utf8()),
        pa.field("error_codes", pa.list_(pa.utf8())),
        pa.field("error_messages", pa.list_(pa.utf8())),
        pa.field("duration_ms", pa.float64()),
        pa.field("trace_id", pa.utf8()),
        pa.field("stream_seq", pa.uint64(), nullable=False),
        pa.field("highlights", pa.list_(pa.utf8())),
        pa.field("cursor", pa.utf8()),
        pa.field("missing", pa.list_(pa.utf8())),
    ]
)
"""One row for each hit. The last row of a page has a `cursor` if more hits may follow; a search
with it continues there. In a partial search, `missing` has in every row the days that were not
searched, such as `events of 2026-01-31`."""

COUNT_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.utf8(), nullable=False),
        pa.field("key", pa.utf8(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("missing", pa.list_(pa.utf8())),
    ]
)
"""One row for each group of a search that counts. `missing` as of `HIT_SCHEMA`: the rows of these
days are not counted."""

STORED_AS = {"data": "data_json", "changes": "changes_json", "variables": "variables_json"}
SOURCE = [
    "event_id",
    "request_id",
    *(
        STORED_AS.get(name, name)
        for name in map(str, HIT_SCHEMA.names)
        if name not in ("kind", "id", "highlights", "cursor", "missing")
    ),
]
