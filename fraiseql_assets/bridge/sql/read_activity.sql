-- The transactions that run, and those of them that write the change log ($1) or a part of it.
SELECT
    pg_snapshot_xmin(current)::text::bigint AS oldest,
    pg_snapshot_xmax(current)::text::bigint AS next,
    -- An insertion locks the table before it takes a number, and keeps the lock to its end.
    ARRAY(
        SELECT DISTINCT virtualtransaction
        FROM pg_locks
        WHERE locktype = 'relation'
            AND mode = 'RowExclusiveLock'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND relation IN (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid))
    ) AS writers
FROM pg_current_snapshot() AS current
