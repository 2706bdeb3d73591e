SELECT day, max(at) AS at
FROM fraiseql_ledger FINAL
WHERE state = 'committed'
GROUP BY day
