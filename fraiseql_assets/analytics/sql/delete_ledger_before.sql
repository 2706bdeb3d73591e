DELETE FROM fraiseql_ledger
WHERE day < {day:Date}
