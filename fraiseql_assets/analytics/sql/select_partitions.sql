SELECT toDate(partition) AS day, sum(rows) AS rows, sum(data_uncompressed_bytes) AS bytes
FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String} AND rows > 0
GROUP BY day
ORDER BY day
