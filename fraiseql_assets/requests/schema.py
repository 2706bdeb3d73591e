"""The Arrow schema of GraphQL requests, beside that of events. It only ever grows."""

import pyarrow as pa

from fraiseql_assets.events.schema import TIMESTAMP

REQUEST_SCHEMA = pa.schema(
    [
        pa.field("request_id", pa.utf8(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("operation_type", pa.utf8(), nullable=False),
        pa.field("operation_name", pa.utf8()),
        pa.field("query", pa.utf8(), nullable=False),
        pa.field("query_hash", pa.utf8(), nullable=False),
        pa.field("variables", pa.utf8()),
        pa.field("user_id", pa.utf8()),
        pa.field("tenant_id", pa.utf8()),
        pa.field("transport", pa.utf8(), nullable=False),
        pa.field("status", pa.utf8(), nullable=False),
        pa.field("error_codes", pa.list_(pa.utf8()), nullable=False),
        pa.field("error_messages", pa.list_(pa.utf8()), nullable=False),
        pa.field("duration_ms", pa.float64()),
        pa.field("rows", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("trace_id", pa.utf8()),
        pa.field("stream_seq", pa.uint64(), nullable=False),
        pa.field("stream_row", pa.uint32(), nullable=False),
        pa.field("stream_time", TIMESTAMP, nullable=False),
    ]
)

COLUMN_DESCRIPTIONS = {
    "request_id": "The request's identity: counted once per day however often it was published.",
    "timestamp": "When the request arrived, by the service's clock.",
    "operation_type": "query, mutation, subscription, or unknown where the text is no GraphQL.",
    "operation_name": "The name of the operation, when it has one.",
    "query": "The GraphQL text, secret literals redacted.",
    "query_hash": "SHA-256 of the text as it is recorded: the same for the same query.",
    "variables": "The variables as JSON text, secrets redacted.",
    "user_id": "The subject of the principal's token.",
    "tenant_id": "The tenant of the principal's token.",
    "transport": "http or flight.",
    "status": "ok, error or cancelled.",
    "error_codes": "The codes of its errors.",
    "error_messages": "The messages of its errors.",
    "duration_ms": "From arrival to the last byte, in milliseconds.",
    "rows": "Rows of the result, where they were counted.",
    "bytes": "Bytes of the result: of Arrow over Flight, of the body over HTTP.",
    "trace_id": "The trace that the client sent in `traceparent`.",
    "stream_seq": "JetStream's sequence of the message.",
    "stream_row": "Always 0: a message carries one request.",
    "stream_time": "When JetStream stored the message: decides the partition.",
}
