DELETE FROM fraiseql_ledger
WHERE stream = {stream:String} AND day = {day:Date} AND state = 'committed'
  AND first >= {first:UInt64} AND last <= {last:UInt64}
  AND NOT (first = {first:UInt64} AND last = {last:UInt64})
