-- Where the day holds the ids in `incoming`.
SELECT event_id, stream_seq, stream_row
FROM ${table}
PREWHERE event_hash IN (SELECT cityHash64(event_id) FROM incoming)
WHERE stream_time >= {day:Date} AND stream_time < {day:Date} + INTERVAL 1 DAY
  AND event_id IN (SELECT event_id FROM incoming)
