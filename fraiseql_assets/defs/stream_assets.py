"""The logs in Dagster: external assets from which the planes are derived."""

import dagster as dg

from fraiseql_assets.catalogue import OWNERS, STREAM_EVENTS, STREAM_REQUESTS, Asset
from fraiseql_assets.datasets import DATASETS
from fraiseql_assets.defs.metadata import column_schema


def _external(asset: Asset) -> dg.AssetSpec:
    """A log, with the columns that its messages decode to."""
    dataset = DATASETS[asset.dataset]
    return dg.AssetSpec(
        asset.path,
        description=asset.description,
        group_name="stream",
        owners=list(OWNERS),
        kinds=set(asset.kinds),
        metadata={
            "dagster/table_name": f"jetstream.{asset.table}",
            "dagster/column_schema": column_schema(dataset.schema, dataset.descriptions),
        },
    )


stream_events, stream_requests = _external(STREAM_EVENTS), _external(STREAM_REQUESTS)
