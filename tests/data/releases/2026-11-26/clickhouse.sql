CREATE TABLE IF NOT EXISTS fraiseql_events
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
    event_hash UInt64 MATERIALIZED cityHash64(event_id) CODEC(NONE)
)
ENGINE = MergeTree
-- The day JetStream stored the message: the one time that a replay reproduces.
PARTITION BY toDate(stream_time)
ORDER BY (entity_type, timestamp, stream_seq, stream_row)
TTL toDate(stream_time) + INTERVAL 30000 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    -- Without a window the tokens of retried blocks are ignored.
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000;

-- What this plane holds of the log: the newest row of each range is its entry.
CREATE TABLE IF NOT EXISTS fraiseql_ledger
(
    stream LowCardinality(String),
    first UInt64,
    last UInt64,
    day Date,
    kind LowCardinality(String),
    state LowCardinality(String),
    cut String,
    attempt UInt32,
    run_id String,
    at DateTime64(6, 'UTC'),
    messages UInt64,
    rows UInt64,
    duplicates UInt64,
    dead_letters UInt64,
    source LowCardinality(String)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (stream, day, first, last);

CREATE TABLE IF NOT EXISTS fraiseql_events_hourly_state
(
    stream_date Date,
    hour DateTime64(0, 'UTC'),
    entity_type LowCardinality(String),
    event_type LowCardinality(String),
    event_count AggregateFunction(count),
    unique_entities AggregateFunction(uniq, String)
)
ENGINE = AggregatingMergeTree
PARTITION BY stream_date
ORDER BY (hour, entity_type, event_type)
TTL stream_date + INTERVAL 30000 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS fraiseql_events_hourly_state_feed TO fraiseql_events_hourly_state AS
SELECT
    toDate(stream_time) AS stream_date,
    -- toStartOfHour would wrap events from before 1970.
    toDateTime64(
        timestamp - toIntervalMicrosecond(positiveModulo(toUnixTimestamp64Micro(timestamp), 3600000000)),
        0, 'UTC'
    ) AS hour,
    entity_type,
    event_type,
    countState() AS event_count,
    uniqState(entity_id) AS unique_entities
FROM fraiseql_events
GROUP BY stream_date, hour, entity_type, event_type;

CREATE VIEW IF NOT EXISTS fraiseql_events_hourly AS
SELECT
    hour,
    entity_type,
    event_type,
    countMerge(state.event_count) AS event_count,
    uniqMerge(state.unique_entities) AS unique_entities
FROM fraiseql_events_hourly_state AS state
GROUP BY hour, entity_type, event_type;

CREATE TABLE IF NOT EXISTS fraiseql_org_daily_state
(
    stream_date Date,
    day Date32,
    -- A nullable column cannot be sorted by: events of no tenant are kept under ''.
    tenant String,
    event_count AggregateFunction(count),
    unique_entities AggregateFunction(uniq, Tuple(String, String)),
    unique_users AggregateFunction(uniq, Nullable(String)),
    entity_types AggregateFunction(groupUniqArray, String),
    created_count AggregateFunction(countIf, UInt8),
    updated_count AggregateFunction(countIf, UInt8),
    deleted_count AggregateFunction(countIf, UInt8)
)
ENGINE = AggregatingMergeTree
PARTITION BY stream_date
ORDER BY (day, tenant)
TTL stream_date + INTERVAL 30000 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS fraiseql_org_daily_state_feed TO fraiseql_org_daily_state AS
SELECT
    toDate(stream_time) AS stream_date,
    toDate32(timestamp) AS day,
    ifNull(toString(tenant_id), '') AS tenant,
    countState() AS event_count,
    uniqState((toString(entity_type), entity_id)) AS unique_entities,
    uniqState(user_id) AS unique_users,
    groupUniqArrayState(toString(entity_type)) AS entity_types,
    countIfState(event_type = 'INSERT') AS created_count,
    countIfState(event_type = 'UPDATE') AS updated_count,
    countIfState(event_type = 'DELETE') AS deleted_count
FROM fraiseql_events
GROUP BY stream_date, day, tenant;

CREATE VIEW IF NOT EXISTS fraiseql_org_daily AS
SELECT
    day,
    nullIf(tenant, '') AS tenant_id,
    countMerge(state.event_count) AS event_count,
    uniqMerge(state.unique_entities) AS unique_entities,
    uniqMerge(state.unique_users) AS unique_users,
    arraySort(groupUniqArrayMerge(state.entity_types)) AS entity_types,
    countIfMerge(state.created_count) AS created_count,
    countIfMerge(state.updated_count) AS updated_count,
    countIfMerge(state.deleted_count) AS deleted_count
FROM fraiseql_org_daily_state AS state
GROUP BY day, tenant;

CREATE TABLE IF NOT EXISTS fraiseql_event_type_stats_state
(
    stream_date Date,
    hour DateTime64(0, 'UTC'),
    event_type LowCardinality(String),
    event_count AggregateFunction(count),
    unique_entities AggregateFunction(uniq, Tuple(String, String)),
    first_seen AggregateFunction(min, DateTime64(6, 'UTC')),
    last_seen AggregateFunction(max, DateTime64(6, 'UTC')),
    timed_count AggregateFunction(count, Nullable(Int64)),
    total_duration_ms AggregateFunction(sum, Nullable(Int64)),
    max_duration_ms AggregateFunction(max, Nullable(Int64))
)
ENGINE = AggregatingMergeTree
PARTITION BY stream_date
ORDER BY (hour, event_type)
TTL stream_date + INTERVAL 30000 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS fraiseql_event_type_stats_state_feed TO fraiseql_event_type_stats_state AS
SELECT
    toDate(stream_time) AS stream_date,
    toDateTime64(
        timestamp - toIntervalMicrosecond(positiveModulo(toUnixTimestamp64Micro(timestamp), 3600000000)),
        0, 'UTC'
    ) AS hour,
    event_type,
    countState() AS event_count,
    uniqState((toString(entity_type), entity_id)) AS unique_entities,
    minState(timestamp) AS first_seen,
    maxState(timestamp) AS last_seen,
    countState(duration_ms) AS timed_count,
    sumState(duration_ms) AS total_duration_ms,
    maxState(duration_ms) AS max_duration_ms
FROM fraiseql_events
GROUP BY stream_date, hour, event_type;

CREATE VIEW IF NOT EXISTS fraiseql_event_type_stats AS
SELECT
    hour,
    event_type,
    countMerge(state.event_count) AS event_count,
    event_count / 3600 AS events_per_second,
    uniqMerge(state.unique_entities) AS unique_entities,
    minMerge(state.first_seen) AS first_seen,
    maxMerge(state.last_seen) AS last_seen,
    if(countMerge(state.timed_count) = 0, NULL,
       sumMerge(state.total_duration_ms) / countMerge(state.timed_count)) AS mean_duration_ms,
    maxMerge(state.max_duration_ms) AS max_duration_ms
FROM fraiseql_event_type_stats_state AS state
GROUP BY hour, event_type;
