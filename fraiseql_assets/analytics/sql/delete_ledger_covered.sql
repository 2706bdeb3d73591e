-- Every version of an entry: without its committed version, the begun one would be in force again.
DELETE FROM fraiseql_ledger
WHERE stream = {stream:String} AND day = {day:Date}
  AND first >= {first:UInt64} AND last <= {last:UInt64}
  AND NOT (first = {first:UInt64} AND last = {last:UInt64})
