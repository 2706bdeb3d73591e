-- The aggregate counts all tenants together: one tenant's is computed from its events.
SELECT
    hour,
    event_type,
    event_count,
    event_count / 3600 AS events_per_second,
    unique_entities,
    first_seen,
    last_seen,
    if(timed_count = 0, NULL, duration_sum_ms / timed_count) AS mean_duration_ms,
    max_duration_ms
FROM (
    SELECT
        toDateTime64(
            timestamp - toIntervalMicrosecond(positiveModulo(toUnixTimestamp64Micro(timestamp), 3600000000)),
            0, 'UTC'
        ) AS hour,
        event_type,
        count() AS event_count,
        uniq((toString(entity_type), entity_id)) AS unique_entities,
        min(timestamp) AS first_seen,
        max(timestamp) AS last_seen,
        count(duration_ms) AS timed_count,
        ifNull(sum(toInt128(duration_ms)), 0) AS duration_sum_ms,
        max(duration_ms) AS max_duration_ms
    FROM fraiseql_events
    WHERE tenant_id = {tenant:String} AND ${days}
    GROUP BY hour, event_type
)
