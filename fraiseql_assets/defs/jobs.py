"""The jobs that materialise, verify and check the assets that are filled from a log."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from fraiseql_assets.catalogue import (
    AGGREGATES,
    ANALYTICS_EVENTS,
    OPERATIONAL_EVENTS,
    OPERATIONAL_REQUESTS,
    Asset,
)
from fraiseql_assets.defs.checks import CHEAP
from fraiseql_assets.defs.partitions import DAILY

SERVERS = {"analytics": "ClickHouse", "operational": "Elasticsearch"}


def _selection(assets: tuple[Asset, ...]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(dg.AssetKey(asset.path) for asset in assets))


def _jobs(asset: Asset, *others: Asset) -> list[UnresolvedAssetJobDefinition]:
    """The jobs that materialise, verify and check an asset and the assets that it feeds."""
    name, server, assets = "_".join(asset.path), SERVERS[asset.plane], _selection((asset, *others))
    cheap = dg.AssetSelection.checks(
        *(dg.AssetCheckKey(dg.AssetKey(asset.path), check) for check in CHEAP)
    )
    return [
        dg.define_asset_job(
            f"materialise_{name}",
            selection=assets.without_checks() | cheap,
            partitions_def=DAILY,
            description=f"Adds a range of the log to {server}, or rebuilds a day of it, "
            "and evaluates the cheap checks.",
        ),
        dg.define_asset_job(
            f"verify_{name}",
            selection=assets,
            partitions_def=DAILY,
            description=f"Verifies a day in {server}, rebuilds it if it is not complete, "
            "and evaluates every check.",
        ),
        dg.define_asset_job(
            f"check_{name}",
            selection=dg.AssetSelection.checks_for_assets(
                *(dg.AssetKey(each.path) for each in (asset, *others))
            ),
            partitions_def=DAILY,
            description=f"Evaluates every check of a day in {server}; writes nothing.",
        ),
    ]


ANALYTICS_JOBS = _jobs(ANALYTICS_EVENTS, *AGGREGATES)
OPERATIONAL_JOBS = _jobs(OPERATIONAL_EVENTS)
REQUEST_JOBS = _jobs(OPERATIONAL_REQUESTS)
