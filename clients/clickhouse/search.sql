-- Search hits of the last 30 days.
SELECT kind, timestamp, id, entity_type, event_type
FROM url(fraiseql, url = 'http://127.0.0.1:8080/search?format=arrow&q=entity_type%3AOrder&since=30d&limit=20');
