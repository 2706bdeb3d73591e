-- An aggregate is read by days of the events' own time, which its rows are of.
SELECT toDate32(${column}) AS day, count() AS rows, 0 AS bytes
FROM ${view}
GROUP BY day
ORDER BY day
