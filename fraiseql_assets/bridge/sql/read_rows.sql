-- The next rows in the ranges $1 to $2, at most ${rows} of them and about $3 bytes.
WITH page AS (
    SELECT found.*
    FROM unnest($1::bigint[], $2::bigint[]) AS unseen (first, last)
    -- Each range by the index alone, however many rows lie in it.
    CROSS JOIN LATERAL (
        SELECT log.*
        FROM ${table} AS log
        WHERE log.pk_entity_change_log BETWEEN unseen.first AND unseen.last
        ORDER BY log.pk_entity_change_log
        LIMIT ${rows}
    ) AS found
    ORDER BY found.pk_entity_change_log
    LIMIT ${rows}
),
sized AS (
    SELECT
        page.*,
        count(*) OVER () AS found,
        sum(${bytes}) OVER (ORDER BY pk_entity_change_log) - (${bytes}) AS bytes_before
    FROM page
)
SELECT pk_entity_change_log AS number, found, ${columns}
FROM sized
WHERE bytes_before < $3::bigint
ORDER BY pk_entity_change_log
