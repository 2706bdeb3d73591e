"""The jobs: materialising, verifying and checking each plane."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from fraiseql_assets.catalogue import AGGREGATES, ANALYTICS_EVENTS, OPERATIONAL_EVENTS, Asset
from fraiseql_assets.defs.checks import CHEAP
from fraiseql_assets.defs.partitions import DAILY

SERVERS = {"analytics": "ClickHouse", "operational": "Elasticsearch"}


def _selection(assets: tuple[Asset, ...]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(dg.AssetKey(asset.path) for asset in assets))


def _jobs(events: Asset, *others: Asset) -> list[UnresolvedAssetJobDefinition]:
    plane, assets = events.plane, _selection((events, *others))
    cheap = dg.AssetSelection.checks(
        *(dg.AssetCheckKey(dg.AssetKey(events.path), name) for name in CHEAP)
    )
    return [
        dg.define_asset_job(
            f"materialise_{plane}_events",
            selection=assets.without_checks() | cheap,
            partitions_def=DAILY,
            description=f"Adds a range of the log to {SERVERS[plane]}, or rebuilds a day of it, "
            "and evaluates the cheap checks.",
        ),
        dg.define_asset_job(
            f"verify_{plane}_events",
            selection=assets,
            partitions_def=DAILY,
            description=f"Verifies a day in {SERVERS[plane]}, rebuilds it if it is not complete, "
            "and evaluates every check.",
        ),
        dg.define_asset_job(
            f"check_{plane}_events",
            selection=dg.AssetSelection.checks_for_assets(
                *(dg.AssetKey(asset.path) for asset in (events, *others))
            ),
            partitions_def=DAILY,
            description=f"Evaluates every check of a day in {SERVERS[plane]}; writes nothing.",
        ),
    ]


ANALYTICS_JOBS = _jobs(ANALYTICS_EVENTS, *AGGREGATES)
OPERATIONAL_JOBS = _jobs(OPERATIONAL_EVENTS)
