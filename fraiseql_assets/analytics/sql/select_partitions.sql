SELECT toDate(partition) AS day, sum(rows) AS rows, sum(data_uncompressed_bytes) AS bytes
FROM ${parts}
WHERE active AND database = {database:String} AND table = {table:String}
GROUP BY day
HAVING rows > 0
ORDER BY day
