-- The rows that arrive, and the rows that the service announces.
SELECT
    (SELECT count() FROM url(fraiseql, url = 'http://127.0.0.1:8080/assets/analytics/events?format=arrow&columns=event_id')) AS arrived,
    (SELECT rows FROM url(fraiseql, url = 'http://127.0.0.1:8080/assets/analytics/events?format=info', format = 'JSONEachRow', structure = 'rows UInt64')) AS announced,
    throwIf(arrived < announced, 'Fewer rows arrived than were announced. Read them again.') AS short;
