"""The Dagster spec of an asset in the catalogue."""

from datetime import timedelta
from importlib.metadata import version

import dagster as dg

from fraiseql_assets.catalogue import OWNERS, Asset

FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(minutes=30), fail_window=timedelta(hours=2)
)
"""An asset without new data for this long is shown as stale. Either the application is idle or the
plane is unreachable; the last tick of the sensor shows which."""


def spec_of(asset: Asset, upstream: Asset, *, skippable: bool = False) -> dg.AssetSpec:
    """The spec of a plane's asset."""
    return dg.AssetSpec(
        asset.path,
        deps=[upstream.path],
        description=asset.description,
        group_name=asset.plane,
        owners=list(OWNERS),
        kinds=set(asset.kinds),
        metadata={"dagster/table_name": asset.table},
        tags={"plane": asset.plane},
        code_version=version("fraiseql-assets"),
        freshness_policy=FRESHNESS,
        skippable=skippable,
    )
