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
FROM ${source}
GROUP BY stream_date, hour, entity_type, event_type
