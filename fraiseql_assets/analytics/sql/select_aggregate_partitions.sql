-- The states of a row may lie in several parts until these are merged. No alias may have the name of
-- a column of the key.
SELECT stream_date, uniqExact((${key})), 0
FROM ${table}
WHERE ${condition}
GROUP BY stream_date
ORDER BY stream_date
