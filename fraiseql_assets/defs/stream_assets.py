"""The log in Dagster: an external asset, which the planes are projections of."""

import dagster as dg

from fraiseql_assets.catalogue import OWNERS, STREAM_EVENTS
from fraiseql_assets.defs.partitions import DAILY

stream_events = dg.AssetSpec(
    STREAM_EVENTS.path,
    description=STREAM_EVENTS.description,
    group_name="stream",
    owners=list(OWNERS),
    kinds=set(STREAM_EVENTS.kinds),
    partitions_def=DAILY,
    metadata={"dagster/table_name": STREAM_EVENTS.table},
)
