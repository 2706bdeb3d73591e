-- Events that were erased on purpose: no rebuild writes them again.
CREATE TABLE IF NOT EXISTS fraiseql_erasures${on_cluster}
(
    stream LowCardinality(String),
    event_id String,
    entity_type String,
    entity_id String,
    upto UInt64,
    at DateTime64(6, 'UTC')
)
ENGINE = ${engine}
ORDER BY (stream, event_id, entity_type, entity_id)
