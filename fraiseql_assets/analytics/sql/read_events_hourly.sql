SELECT
    hour,
    entity_type,
    event_type,
    countMerge(state.event_count) AS event_count,
    uniqMerge(state.unique_entities) AS unique_entities
FROM fraiseql_events_hourly_state AS state
WHERE ${days}
GROUP BY hour, entity_type, event_type
