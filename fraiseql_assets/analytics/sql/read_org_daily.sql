SELECT
    day,
    if(tenant_is_empty = 1, '', nullIf(tenant, '')) AS tenant_id,
    countMerge(state.event_count) AS event_count,
    uniqMerge(state.unique_entities) AS unique_entities,
    uniqMerge(state.unique_users) AS unique_users,
    arraySort(groupUniqArrayMerge(state.entity_types)) AS entity_types,
    countIfMerge(state.created_count) AS created_count,
    countIfMerge(state.updated_count) AS updated_count,
    countIfMerge(state.deleted_count) AS deleted_count
FROM fraiseql_org_daily_state AS state
WHERE ${days}
GROUP BY day, tenant, tenant_is_empty
