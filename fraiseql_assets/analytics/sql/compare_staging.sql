-- Equal when the live day and its replacement hold the same events.
SELECT
    (SELECT (count(), sum(event_hash)) FROM ${table}
     WHERE stream_time >= {day:Date} AND stream_time < {day:Date} + INTERVAL 1 DAY)
    = (SELECT (count(), sum(event_hash)) FROM ${staging}) AS same
