CREATE TABLE IF NOT EXISTS ${table}${on_cluster}
(
    stream_date Date,
    day Date32,
    -- A nullable column cannot be sorted by: events of no tenant are kept under ''.
    tenant String,
    -- 1 for events whose tenant is the empty text, 0 for events of no tenant.
    tenant_is_empty UInt8,
    event_count AggregateFunction(count),
    unique_entities AggregateFunction(uniq, Tuple(String, String)),
    unique_users AggregateFunction(uniq, Nullable(String)),
    entity_types AggregateFunction(groupUniqArray, String),
    created_count AggregateFunction(countIf, UInt8),
    updated_count AggregateFunction(countIf, UInt8),
    deleted_count AggregateFunction(countIf, UInt8)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY stream_date
ORDER BY (day, tenant, tenant_is_empty)
TTL stream_date + INTERVAL ${retention_aggregate_days} DAY
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000
