-- The first and the last number of the change log, and the id of the row with the number $1.
SELECT
    (SELECT min(pk_entity_change_log) FROM ${table}) AS first,
    (SELECT max(pk_entity_change_log) FROM ${table}) AS last,
    (SELECT ${id}::text FROM ${table} WHERE pk_entity_change_log = $1::bigint) AS id
