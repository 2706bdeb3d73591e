-- A day in the log's order.
SELECT *
FROM fraiseql_events
WHERE stream_time >= {day:Date} AND stream_time < {day:Date} + INTERVAL 1 DAY
  AND stream_seq <= {last:UInt64}
ORDER BY stream_seq, stream_row
