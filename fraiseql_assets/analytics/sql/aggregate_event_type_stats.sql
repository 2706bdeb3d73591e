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
    -- Two durations may add up to more than 64 bits.
    sumState(toInt128(duration_ms)) AS duration_sum_ms,
    maxState(duration_ms) AS max_duration_ms
FROM ${source}
GROUP BY stream_date, hour, event_type
