"""The columns of GraphQL requests: names, types and descriptions. The list only ever grows."""

from fraiseql_assets.fields import STREAM_SEQ, STREAM_TIME, Field

REQUEST_FIELDS = (
    Field(
        "request_id",
        "string",
        "The request's identity: counted once per day however often it was published.",
    ),
    Field(
        "timestamp", "timestamp[us, tz=UTC]", "When the request arrived, by the service's clock."
    ),
    Field(
        "operation_type",
        "string",
        "query, mutation, subscription, or unknown where the text is no GraphQL.",
    ),
    Field("operation_name", "string", "The name of the operation, when it has one.", nullable=True),
    Field("query", "string", "The GraphQL text, secret literals redacted."),
    Field(
        "query_hash",
        "string",
        "SHA-256 of the text as it is recorded: the same for the same query.",
    ),
    Field("variables", "string", "The variables as JSON text, secrets redacted.", nullable=True),
    Field("user_id", "string", "The subject of the principal's token.", nullable=True),
    Field("tenant_id", "string", "The tenant of the principal's token.", nullable=True),
    Field("transport", "string", "http or flight."),
    Field("status", "string", "ok, error or cancelled."),
    Field("error_codes", "list<item: string>", "The codes of its errors."),
    Field("error_messages", "list<item: string>", "The messages of its errors."),
    Field(
        "duration_ms", "double", "From arrival to the last byte, in milliseconds.", nullable=True
    ),
    Field("rows", "int64", "Rows of the result, where they were counted.", nullable=True),
    Field(
        "bytes",
        "int64",
        "Bytes of the result: of Arrow over Flight, of the body over HTTP.",
        nullable=True,
    ),
    Field("trace_id", "string", "The trace that the client sent in `traceparent`.", nullable=True),
    STREAM_SEQ,
    Field("stream_row", "uint32", "Always 0: a message carries one request."),
    STREAM_TIME,
)
