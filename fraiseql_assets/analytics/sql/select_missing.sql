-- Events of the live day that its replacement lacks.
SELECT DISTINCT event_id
FROM ${table}
WHERE stream_time >= {day:Date} AND stream_time < {day:Date} + INTERVAL 1 DAY
  AND event_hash NOT IN (SELECT event_hash FROM ${staging})
LIMIT {most:UInt32}
