CREATE TABLE IF NOT EXISTS ${table}${on_cluster}
(
    stream_date Date,
    hour DateTime64(0, 'UTC'),
    entity_type LowCardinality(String),
    event_type LowCardinality(String),
    event_count AggregateFunction(count),
    unique_entities AggregateFunction(uniq, String)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY stream_date
ORDER BY (hour, entity_type, event_type)
TTL stream_date + INTERVAL ${retention_aggregate_days} DAY
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000
