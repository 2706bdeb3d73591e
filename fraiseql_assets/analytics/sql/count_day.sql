SELECT
    count() AS rows,
    ${ids} AS distinct_ids,
    min(stream_seq) AS first_seq,
    max(stream_seq) AS last_seq
FROM fraiseql_events
WHERE stream_time >= {day:Date} AND stream_time < {day:Date} + INTERVAL 1 DAY
