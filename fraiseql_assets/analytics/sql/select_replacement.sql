-- When the day was last replaced, and how many of its replacements hold the whole of a range.
SELECT
    toUnixTimestamp64Micro(max(at)) AS replaced_at,
    countIf(stream = {stream:String} AND first <= {first:UInt64} AND last >= {last:UInt64}) AS covering
FROM fraiseql_ledger FINAL
WHERE day = {day:Date} AND kind = 'partition' AND state = 'committed'
