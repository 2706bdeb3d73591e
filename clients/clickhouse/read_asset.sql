-- An asset, straight from the service.
SELECT entity_type, count() AS events, uniqExact(entity_id) AS entities
FROM url(fraiseql, url = 'http://127.0.0.1:8080/assets/analytics/events?format=arrow')
GROUP BY entity_type
ORDER BY events DESC;
