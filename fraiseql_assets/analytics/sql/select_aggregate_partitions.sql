-- The states of a row may lie in several parts until these are merged.
SELECT stream_date AS day, uniqExact((${key})) AS rows, 0 AS bytes
FROM ${table}
GROUP BY day
ORDER BY day
