"""The analytics plane in Dagster: events and their aggregates in ClickHouse, by day."""

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date
from typing import TYPE_CHECKING, cast

import dagster as dg

from fraiseql_assets.catalogue import AGGREGATES, ANALYTICS_EVENTS, STREAM_EVENTS
from fraiseql_assets.defs.checks import day_of_check, log_checks
from fraiseql_assets.defs.materialise import EventsConfig, materialise, plane_of
from fraiseql_assets.defs.metadata import column_schema, metadata_of
from fraiseql_assets.defs.partitions import DAILY, day_of
from fraiseql_assets.defs.specs import spec_of
from fraiseql_assets.resources import ClickHouse, Elasticsearch, Nats, settings_of

if TYPE_CHECKING:
    from fraiseql_assets.analytics.plane import AnalyticsPlane
    from fraiseql_assets.settings import Settings


@dg.multi_asset(
    name="analytics_events",
    specs=[
        spec_of(ANALYTICS_EVENTS, STREAM_EVENTS, skippable=True),
        *(spec_of(aggregate, ANALYTICS_EVENTS, skippable=True) for aggregate in AGGREGATES),
    ],
    partitions_def=DAILY,
    can_subset=True,
    # One run per day, so that a failed day does not affect the others.
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    pool=ANALYTICS_EVENTS.pool,
)
def analytics_events(
    context: dg.AssetExecutionContext,
    config: EventsConfig,
    nats: Nats,
    clickhouse: ClickHouse,
    elasticsearch: Elasticsearch,
) -> Iterator[dg.MaterializeResult]:
    """Events and, fed by them in ClickHouse itself, their aggregates."""
    from fraiseql_assets.analytics.schemas import COLUMN_DESCRIPTIONS, SCHEMAS

    settings = settings_of(nats, clickhouse, elasticsearch)
    done = materialise(context, ANALYTICS_EVENTS, config, settings)
    rows = _rows_of(done.day_rows, day_of(context.partition_key), settings)
    for asset in (ANALYTICS_EVENTS, *AGGREGATES):
        key = dg.AssetKey(asset.path)
        if key not in context.selected_asset_keys:
            continue
        if done.is_observation:
            context.log_event(
                dg.AssetObservation(
                    key, partition=context.partition_key, metadata={"rows": rows.get(asset.key, 0)}
                )
            )
            continue
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                **metadata_of(done.report, asset, day_rows=rows.get(asset.key), ranges=done.ranges),
                "dagster/column_schema": column_schema(SCHEMAS[asset.key], COLUMN_DESCRIPTIONS),
            },
        )


def _open(settings: "Settings") -> "AnalyticsPlane":
    return cast("AnalyticsPlane", plane_of(ANALYTICS_EVENTS, settings))


def _rows_of(events: int, day: date, settings: "Settings") -> dict[str, int]:
    """The current rows of each asset's partition, without aggregates that cannot be counted."""
    from fraiseql_assets.planes import PlaneError

    rows = {ANALYTICS_EVENTS.key: events}
    with suppress(PlaneError), closing(_open(settings)) as plane:
        counted = plane.aggregate_rows(day)
        rows |= {aggregate.key: counted[aggregate.path[-1]] for aggregate in AGGREGATES}
    return rows


events_against_the_log = log_checks(ANALYTICS_EVENTS)


@dg.multi_asset_check(
    name="analytics_aggregates_against_the_rows",
    specs=[
        dg.AssetCheckSpec(
            "equals_raw_rows",
            asset=aggregate.path,
            description="The aggregate counts exactly the events that the partition holds.",
            partitions_def=DAILY,
        )
        for aggregate in AGGREGATES
    ],
    can_subset=True,
    pool=ANALYTICS_EVENTS.pool,
)
def aggregates_against_the_rows(
    context: dg.AssetCheckExecutionContext, clickhouse: ClickHouse
) -> Iterator[dg.AssetCheckResult]:
    """Compares the aggregates with the raw rows of the partition, in one query."""
    with closing(_open(settings_of(clickhouse))) as plane:
        counted = plane.compare_aggregates(day_of_check(context))
    for check in context.selected_asset_check_keys:
        events = counted[check.asset_key.path[-1]]
        yield dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=events == counted["events"],
            description=f"{events:,} events counted, {counted['events']:,} rows held",
            metadata={"events counted": events, "rows held": counted["events"]},
        )
