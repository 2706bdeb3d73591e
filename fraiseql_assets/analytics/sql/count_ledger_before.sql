SELECT count()
FROM fraiseql_ledger FINAL
WHERE day < {day:Date}
