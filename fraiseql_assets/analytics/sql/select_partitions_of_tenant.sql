SELECT toDate(stream_time) AS day, count() AS rows, 0 AS bytes
FROM fraiseql_events
WHERE tenant_id = {tenant:String}
GROUP BY day
ORDER BY day
