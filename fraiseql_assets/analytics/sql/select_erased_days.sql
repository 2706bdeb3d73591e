-- Days that hold events of an erasure.
SELECT DISTINCT toDate(stream_time) AS day
FROM fraiseql_events
WHERE stream_seq <= {upto:UInt64}
  AND if({event_id:String} != '', event_id = {event_id:String},
         entity_type = {entity_type:String} AND entity_id = {entity_id:String})
ORDER BY day
