"""The logs in Dagster: external assets from which the planes are derived."""

import dagster as dg

from fraiseql_assets.catalogue import OWNERS, STREAM_EVENTS, STREAM_REQUESTS, Asset


def _external(asset: Asset) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset.path,
        description=asset.description,
        group_name="stream",
        owners=list(OWNERS),
        kinds=set(asset.kinds),
        metadata={"dagster/table_name": f"jetstream.{asset.table}"},
    )


stream_events, stream_requests = _external(STREAM_EVENTS), _external(STREAM_REQUESTS)
