-- What the bridge must know of the change log ($1) before it reads. No row: there is no such table.
SELECT
    log.oid,
    pg_is_in_recovery() AS is_standby,
    current_user::text AS "user",
    has_table_privilege(log.oid, 'SELECT') AS is_readable,
    ARRAY(
        SELECT attname::text
        FROM pg_attribute
        WHERE attrelid = log.oid AND attnum > 0 AND NOT attisdropped
    ) AS columns,
    -- Row security without a policy that shows every row hides rows without an error.
    row_security_active(log.oid) AND NOT EXISTS (
        SELECT
        FROM pg_policy AS policy
        WHERE policy.polrelid = log.oid
            AND policy.polpermissive
            AND policy.polcmd IN ('r', '*')
            AND pg_get_expr(policy.polqual, policy.polrelid) = 'true'
            AND EXISTS (
                SELECT
                FROM unnest(policy.polroles) AS role
                WHERE role = 0 OR pg_has_role(role, 'USAGE')
            )
    ) OR row_security_active(log.oid) AND EXISTS (
        SELECT
        FROM pg_policy AS policy
        WHERE policy.polrelid = log.oid
            AND NOT policy.polpermissive
            AND policy.polcmd IN ('r', '*')
    ) AS hides_rows,
    (
        SELECT max(seqcache)
        FROM pg_sequence
        JOIN pg_depend ON classid = 'pg_class'::regclass AND objid = seqrelid
        JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
        WHERE refobjid = log.oid AND attname = 'pk_entity_change_log'
    ) AS cached_numbers
FROM pg_class AS log
WHERE log.oid = to_regclass($1)
