SELECT
    toDate(stream_time) AS stream_date,
    toDate32(timestamp) AS day,
    ifNull(toString(tenant_id), '') AS tenant,
    toUInt8(ifNull(tenant_id = '', 0)) AS tenant_is_empty,
    countState() AS event_count,
    uniqState((toString(entity_type), entity_id)) AS unique_entities,
    uniqState(user_id) AS unique_users,
    groupUniqArrayState(toString(entity_type)) AS entity_types,
    countIfState(event_type = 'INSERT') AS created_count,
    countIfState(event_type = 'UPDATE') AS updated_count,
    countIfState(event_type = 'DELETE') AS deleted_count
FROM ${source}
GROUP BY stream_date, day, tenant, tenant_is_empty
