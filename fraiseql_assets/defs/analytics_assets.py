"""The analytics plane in Dagster: events and their aggregates in ClickHouse, by day."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import dagster as dg

from fraiseql_assets.catalogue import AGGREGATES, ANALYTICS_EVENTS, OWNERS, STREAM_EVENTS, Asset
from fraiseql_assets.defs.checks import log_checks
from fraiseql_assets.defs.materialise import (
    RETRY,
    EventsConfig,
    column_schema,
    materialise,
    metadata_of,
    require_plane,
)
from fraiseql_assets.defs.partitions import DAILY, day_of

if TYPE_CHECKING:
    from fraiseql_assets.analytics.plane import AnalyticsPlane

GROUP = "analytics"


def open_plane() -> "AnalyticsPlane":
    """The plane, by the settings of this process."""
    from fraiseql_assets.analytics.plane import AnalyticsPlane
    from fraiseql_assets.settings import get_settings

    require_plane(GROUP)
    return AnalyticsPlane(get_settings())


def _spec(asset: Asset, upstream: Asset) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset.path,
        deps=[upstream.path],
        description=asset.description,
        group_name=GROUP,
        owners=list(OWNERS),
        kinds=set(asset.kinds),
        metadata={"dagster/table_name": asset.table},
    )


@dg.multi_asset(
    name="analytics_events",
    specs=[
        _spec(ANALYTICS_EVENTS, STREAM_EVENTS),
        *(_spec(aggregate, ANALYTICS_EVENTS) for aggregate in AGGREGATES),
    ],
    partitions_def=DAILY,
    # Each day its own run: a failed day does not undo the others.
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    retry_policy=RETRY,
    pool=ANALYTICS_EVENTS.plane,
)
def analytics_events(
    context: dg.AssetExecutionContext, config: EventsConfig
) -> Iterator[dg.MaterializeResult]:
    """Events and, fed by them in ClickHouse itself, their aggregates."""
    from fraiseql_assets.analytics.schemas import SCHEMAS
    from fraiseql_assets.events.schema import COLUMN_DESCRIPTIONS

    with closing(open_plane()) as plane:
        report = materialise(context, plane, config)
        day_rows = plane.count(day_of(context.partition_key)).rows
    for asset in (ANALYTICS_EVENTS, *AGGREGATES):
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(asset.path),
            metadata={
                **metadata_of(report, asset),
                "dagster/column_schema": column_schema(SCHEMAS[asset.key], COLUMN_DESCRIPTIONS),
                **({"dagster/partition_row_count": day_rows} if asset is ANALYTICS_EVENTS else {}),
            },
        )


events_against_the_log = log_checks(ANALYTICS_EVENTS, open_plane)


def _aggregate_check(aggregate: Asset) -> dg.AssetChecksDefinition:
    """Holds one aggregate against the raw rows of the partition."""
    name = aggregate.path[-1]

    @dg.asset_check(
        asset=dg.AssetKey(aggregate.path),
        name="equals_raw_rows",
        description="The aggregate counts exactly the events that the partition holds.",
        partitions_def=DAILY,
        pool=ANALYTICS_EVENTS.plane,
    )
    def equals_raw_rows(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with closing(open_plane()) as plane:
            counted = plane.compare_aggregates(day_of(context.partition_key))
        return dg.AssetCheckResult(
            passed=counted[name] == counted["events"],
            description=f"{counted[name]:,} events counted, {counted['events']:,} rows held",
            metadata={"events counted": counted[name], "rows held": counted["events"]},
        )

    return equals_raw_rows


aggregate_checks = [_aggregate_check(aggregate) for aggregate in AGGREGATES]
