-- The last numbers of the change log, descending.
SELECT pk_entity_change_log AS number
FROM ${table}
ORDER BY pk_entity_change_log DESC
LIMIT ${rows}
