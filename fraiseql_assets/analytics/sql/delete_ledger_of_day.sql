DELETE FROM fraiseql_ledger
WHERE stream = {stream:String} AND day = {day:Date}
  AND NOT (first = {first:UInt64} AND last = {last:UInt64})
