CREATE TABLE IF NOT EXISTS ${table}${on_cluster}
(
    event_id String CODEC(ZSTD(1)),
    event_type LowCardinality(String),
    entity_type LowCardinality(String),
    entity_id String CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    data String CODEC(ZSTD(1)),
    user_id Nullable(String) CODEC(ZSTD(1)),
    tenant_id LowCardinality(Nullable(String)),
    changes Nullable(String) CODEC(ZSTD(1)),
    seq Nullable(Int64) CODEC(ZSTD(1)),
    actor_type LowCardinality(Nullable(String)),
    acting_for Nullable(String) CODEC(ZSTD(1)),
    schema_version LowCardinality(Nullable(String)),
    cdc_source LowCardinality(Nullable(String)),
    duration_ms Nullable(Int64) CODEC(ZSTD(1)),
    stream_seq UInt64 CODEC(Delta, ZSTD(1)),
    stream_row UInt32 CODEC(Delta, ZSTD(1)),
    stream_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    ${event_hash}
)
ENGINE = ${replicated}MergeTree
-- The day JetStream stored the message: the one time that a replay reproduces.
PARTITION BY toDate(stream_time)
ORDER BY (entity_type, timestamp, stream_seq, stream_row)
TTL toDate(stream_time) + INTERVAL ${retention_raw_days} DAY
SETTINGS
    ttl_only_drop_parts = 1,
    -- Without a window the tokens of retried blocks are ignored.
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000
