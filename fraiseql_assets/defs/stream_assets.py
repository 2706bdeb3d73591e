"""The log in Dagster: an external asset, which the planes are projections of."""

import dagster as dg

from fraiseql_assets.catalogue import OWNERS, STREAM_EVENTS

stream_events = dg.AssetSpec(
    STREAM_EVENTS.path,
    description=STREAM_EVENTS.description,
    group_name="stream",
    owners=list(OWNERS),
    kinds=set(STREAM_EVENTS.kinds),
    metadata={"dagster/table_name": f"jetstream.{STREAM_EVENTS.table}"},
)
