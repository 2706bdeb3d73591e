SELECT *
FROM fraiseql_ledger FINAL
WHERE stream = {stream:String} AND ({day:Nullable(Date)} IS NULL OR day = {day:Nullable(Date)})
ORDER BY first, last
