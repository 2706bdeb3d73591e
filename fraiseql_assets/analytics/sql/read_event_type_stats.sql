SELECT
    hour,
    event_type,
    countMerge(state.event_count) AS event_count,
    event_count / 3600 AS events_per_second,
    uniqMerge(state.unique_entities) AS unique_entities,
    minMerge(state.first_seen) AS first_seen,
    maxMerge(state.last_seen) AS last_seen,
    if(countMerge(state.timed_count) = 0, NULL,
       (ifNull(sumMerge(state.duration_sum_ms), 0) + ifNull(sumMerge(state.total_duration_ms), 0))
       / countMerge(state.timed_count)) AS mean_duration_ms,
    maxMerge(state.max_duration_ms) AS max_duration_ms
FROM fraiseql_event_type_stats_state AS state
WHERE ${days}
GROUP BY hour, event_type
