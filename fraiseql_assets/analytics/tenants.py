"""One tenant's rows of the analytics assets, as SQL."""

from fraiseql_assets.analytics.client import sql
from fraiseql_assets.analytics.schemas import SCHEMAS
from fraiseql_assets.analytics.setup import EVENTS_TABLE, Aggregate

TENANT = "tenant"
"""The parameter that holds the tenant's id in every text of this module."""
OF_TENANT = f"tenant_id = {{{TENANT}:String}}"
"""The condition on events."""
KEY_OF_TENANT = f"tenant = {{{TENANT}:String}} AND tenant_is_empty = ({{{TENANT}:String}} = '')"
"""The condition on the states of an aggregate that has tenants in its key."""


def partitions(aggregate: Aggregate, condition: str = "true") -> str:
    """A SELECT of an aggregate's storage days and the number of rows on each."""
    table, key = aggregate.state_table, aggregate.key
    return sql("select_aggregate_partitions", table=table, key=key, condition=condition)


def has_tenants(aggregate: Aggregate) -> bool:
    """Whether the aggregate counts each tenant by itself."""
    return "tenant" in aggregate.key.split(", ")


def select_of_tenant(asset: str, days: str = "true") -> str:
    """A SELECT of an asset's columns and a tenant's rows. `days` is a condition on the storage
    days of events, on `stream_time`; an aggregate that has tenants in its key takes `true` alone.
    """
    columns = ", ".join(SCHEMAS[asset].names)
    name = asset.partition("/")[2]
    return sql(f"read_{name}_of_tenant", columns=columns, days=days).strip()


def partitions_of_tenant(aggregate: Aggregate) -> str:
    """A SELECT of an aggregate's storage days and the number of a tenant's rows on each."""
    if has_tenants(aggregate):
        return partitions(aggregate, KEY_OF_TENANT)
    events = f"(SELECT * FROM {EVENTS_TABLE} WHERE {OF_TENANT})"
    return sql("select_aggregate_partitions_of_tenant", states=aggregate.select(events))
