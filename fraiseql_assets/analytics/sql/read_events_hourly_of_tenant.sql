-- The aggregate counts all tenants together: one tenant's is computed from its events.
SELECT
    toDateTime64(
        timestamp - toIntervalMicrosecond(positiveModulo(toUnixTimestamp64Micro(timestamp), 3600000000)),
        0, 'UTC'
    ) AS hour,
    entity_type,
    event_type,
    count() AS event_count,
    uniq(entity_id) AS unique_entities
FROM fraiseql_events
WHERE tenant_id = {tenant:String} AND ${days}
GROUP BY hour, entity_type, event_type
