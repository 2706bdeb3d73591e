-- Which of the ids in `incoming` the day holds at another log position than this block's.
-- Only where a hash is among them the id itself is read, and the rest of the row.
SELECT DISTINCT event_id
FROM ${table}
PREWHERE event_hash IN (SELECT cityHash64(event_id) FROM incoming)
WHERE stream_time >= {day:Date} AND stream_time < {day:Date} + INTERVAL 1 DAY
  AND event_id IN (SELECT event_id FROM incoming)
  AND NOT ((stream_seq, stream_row) >= ({first_seq:UInt64}, {first_row:UInt32})
       AND (stream_seq, stream_row) <= ({last_seq:UInt64}, {last_row:UInt32}))
