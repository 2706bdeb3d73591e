CREATE TABLE IF NOT EXISTS ${table}${on_cluster}
(
    stream_date Date,
    hour DateTime64(0, 'UTC'),
    event_type LowCardinality(String),
    event_count AggregateFunction(count),
    unique_entities AggregateFunction(uniq, Tuple(String, String)),
    first_seen AggregateFunction(min, DateTime64(6, 'UTC')),
    last_seen AggregateFunction(max, DateTime64(6, 'UTC')),
    timed_count AggregateFunction(count, Nullable(Int64)),
    -- Of the first release; rows written since have it empty.
    total_duration_ms AggregateFunction(sum, Nullable(Int64)),
    duration_sum_ms AggregateFunction(sum, Nullable(Int128)),
    max_duration_ms AggregateFunction(max, Nullable(Int64))
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY stream_date
ORDER BY (hour, event_type)
TTL stream_date + INTERVAL ${retention_aggregate_days} DAY
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000
