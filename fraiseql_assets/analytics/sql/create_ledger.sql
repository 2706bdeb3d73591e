-- What this plane holds of the log: the newest row of each range is its entry.
CREATE TABLE IF NOT EXISTS fraiseql_ledger${on_cluster}
(
    stream LowCardinality(String),
    first UInt64,
    last UInt64,
    day Date,
    kind LowCardinality(String),
    state LowCardinality(String),
    cut String,
    attempt UInt32,
    run_id String,
    at DateTime64(6, 'UTC'),
    messages UInt64,
    rows UInt64,
    duplicates UInt64,
    dead_letters UInt64,
    source LowCardinality(String)
)
ENGINE = ${engine}
ORDER BY (stream, day, first, last)
