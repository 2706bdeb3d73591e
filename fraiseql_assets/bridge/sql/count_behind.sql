-- How many rows lie in the ranges $1 to $2, counted up to ${most}, and since when the first waits.
SELECT count(*) AS rows, extract(epoch FROM now() - min(created_at))::float8 AS seconds
FROM (
    SELECT found.created_at
    FROM unnest($1::bigint[], $2::bigint[]) AS unseen (first, last)
    CROSS JOIN LATERAL (
        SELECT log.created_at
        FROM ${table} AS log
        WHERE log.pk_entity_change_log BETWEEN unseen.first AND unseen.last
        ORDER BY log.pk_entity_change_log
        LIMIT ${most}
    ) AS found
    LIMIT ${most}
) AS behind
