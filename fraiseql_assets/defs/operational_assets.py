"""The operational plane in Dagster: events and GraphQL requests as searchable documents in
Elasticsearch, by day."""

from collections.abc import Iterator

import dagster as dg

from fraiseql_assets.catalogue import (
    OPERATIONAL_EVENTS,
    OPERATIONAL_REQUESTS,
    STREAM_EVENTS,
    STREAM_REQUESTS,
    Asset,
)
from fraiseql_assets.defs.checks import log_checks
from fraiseql_assets.defs.materialise import EventsConfig, materialise
from fraiseql_assets.defs.metadata import column_schema, metadata_of
from fraiseql_assets.defs.partitions import DAILY
from fraiseql_assets.defs.specs import spec_of
from fraiseql_assets.resources import ClickHouse, Elasticsearch, Nats, settings_of


def _documents(asset: Asset, upstream: Asset) -> dg.AssetsDefinition:
    """The searchable asset of a dataset, with one index per day."""

    @dg.multi_asset(
        name="__".join(asset.path),
        description=asset.description,
        specs=[spec_of(asset, upstream, skippable=True)],
        # Without a backfill policy there is one run per day, as with the other plane's policy.
        # Dagster puts assets with different policies into separate runs, so a backfill of both
        # planes does not couple them.
        partitions_def=DAILY,
        pool=asset.pool,
    )
    def documents(
        context: dg.AssetExecutionContext,
        config: EventsConfig,
        nats: Nats,
        clickhouse: ClickHouse,
        elasticsearch: Elasticsearch,
    ) -> Iterator[dg.MaterializeResult]:
        from fraiseql_assets.datasets import DATASETS

        done = materialise(context, asset, config, settings_of(nats, clickhouse, elasticsearch))
        key = dg.AssetKey(asset.path)
        if done.is_observation:
            context.log_event(
                dg.AssetObservation(
                    key, partition=context.partition_key, metadata={"rows": done.day_rows}
                )
            )
            return
        dataset = DATASETS[asset.dataset]
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                **metadata_of(done.report, asset, day_rows=done.day_rows, ranges=done.ranges),
                "dagster/column_schema": column_schema(dataset.schema, dataset.descriptions),
            },
        )

    return documents


operational_events = _documents(OPERATIONAL_EVENTS, STREAM_EVENTS)
operational_requests = _documents(OPERATIONAL_REQUESTS, STREAM_REQUESTS)
events_against_the_log = log_checks(OPERATIONAL_EVENTS)
requests_against_the_log = log_checks(OPERATIONAL_REQUESTS)
