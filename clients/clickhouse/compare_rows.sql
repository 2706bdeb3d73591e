-- The rows that the service announces, and then the rows that arrive. There may be more of them, as
-- events are stored meanwhile. Over ClickHouse's HTTP interface both statements need the same session_id.
CREATE TEMPORARY TABLE announced AS
SELECT rows
FROM url(fraiseql, url = 'http://127.0.0.1:8080/assets/analytics/events?format=info', format = 'JSONEachRow', structure = 'rows UInt64');

SELECT
    (SELECT rows FROM announced) AS announced,
    count() AS arrived,
    throwIf(arrived < announced, 'Fewer rows arrived than were announced. Read them again.') AS short
FROM url(fraiseql, url = 'http://127.0.0.1:8080/assets/analytics/events?format=arrow&columns=event_id');
