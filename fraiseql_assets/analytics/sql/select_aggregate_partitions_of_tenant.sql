-- The tenant's events are aggregated as the materialized view does it, a row for each key and day.
SELECT stream_date, count(), 0
FROM (${states})
GROUP BY stream_date
ORDER BY stream_date
