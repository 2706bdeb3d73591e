-- Events of a day by raw rows and by each aggregate: equal, or an aggregate is wrong.
SELECT
    (SELECT count() FROM fraiseql_events
     WHERE stream_time >= {day:Date} AND stream_time < {day:Date} + INTERVAL 1 DAY) AS events,
    (SELECT countMerge(event_count) FROM fraiseql_events_hourly_state
     WHERE stream_date = {day:Date}) AS events_hourly,
    (SELECT countMerge(event_count) FROM fraiseql_org_daily_state
     WHERE stream_date = {day:Date}) AS org_daily,
    (SELECT countMerge(event_count) FROM fraiseql_event_type_stats_state
     WHERE stream_date = {day:Date}) AS event_type_stats
