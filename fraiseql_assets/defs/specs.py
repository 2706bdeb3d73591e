"""An asset of the catalogue as Dagster shows it."""

from datetime import timedelta
from importlib.metadata import version

import dagster as dg

from fraiseql_assets.catalogue import OWNERS, Asset

FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(minutes=30), fail_window=timedelta(hours=2)
)
"""An asset that got nothing for so long is shown as stale: the application is idle, or the plane is
out of reach; the sensor's last tick says which."""


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
