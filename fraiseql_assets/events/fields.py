"""The columns of events: names, types and descriptions.

The first eight are those of FraiseQL's own event schema, in its order and under its names; the rest
are additions. The list only ever grows: no column is renamed, reordered or removed.
"""

from fraiseql_assets.fields import STREAM_SEQ, STREAM_TIME, Field

EVENT_FIELDS = (
    Field(
        "event_id",
        "string",
        "The event's identity: counted once per day however often it was published.",
    ),
    Field("event_type", "string", "INSERT, UPDATE, DELETE or CUSTOM."),
    Field("entity_type", "string", "The GraphQL type that changed, such as Order."),
    Field("entity_id", "string", "Which of its entities."),
    Field(
        "timestamp", "timestamp[us, tz=UTC]", "When the change happened, by the producer's clock."
    ),
    Field("data", "string", "The entity after the change, JSON text exactly as published."),
    Field("user_id", "string", "Who made the change.", nullable=True),
    Field("tenant_id", "string", "Whose data it is (older producers: org_id).", nullable=True),
    Field(
        "changes",
        "string",
        "Field by field, old and new, JSON text exactly as published.",
        nullable=True,
    ),
    Field("seq", "int64", "The producer's own sequence.", nullable=True),
    Field(
        "actor_type",
        "string",
        "human_user, service_account, ai_agent or system_job.",
        nullable=True,
    ),
    Field("acting_for", "string", "On whose behalf the actor acted.", nullable=True),
    Field("schema_version", "string", "The producer's schema version.", nullable=True),
    Field(
        "cdc_source",
        "string",
        "Which change-data-capture source reported it, when one did.",
        nullable=True,
    ),
    Field("duration_ms", "int64", "How long the mutation took, in milliseconds.", nullable=True),
    STREAM_SEQ,
    Field("stream_row", "uint32", "The row inside an Arrow-batch message, 0 otherwise."),
    STREAM_TIME,
)
