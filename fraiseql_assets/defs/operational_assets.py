"""The operational plane in Dagster: events as searchable documents in Elasticsearch, by day."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from fraiseql_assets.catalogue import OPERATIONAL_EVENTS, STREAM_EVENTS
from fraiseql_assets.defs.checks import log_checks
from fraiseql_assets.defs.materialise import EventsConfig, materialise, require_plane
from fraiseql_assets.defs.metadata import column_schema, metadata_of
from fraiseql_assets.defs.partitions import DAILY
from fraiseql_assets.defs.specs import spec_of

if TYPE_CHECKING:
    from fraiseql_assets.operational.plane import OperationalPlane


def open_plane() -> "OperationalPlane":
    """The plane, by the settings of this process."""
    from fraiseql_assets.operational.plane import OperationalPlane
    from fraiseql_assets.settings import get_settings

    require_plane(OPERATIONAL_EVENTS.plane)
    return OperationalPlane(get_settings())


@dg.multi_asset(
    name="operational__events",
    specs=[spec_of(OPERATIONAL_EVENTS, STREAM_EVENTS, skippable=True)],
    # No backfill policy means a run for each day, as the other plane's policy does. Assets with
    # another policy get runs of their own, so that a backfill of both planes does not tie them.
    partitions_def=DAILY,
    pool=OPERATIONAL_EVENTS.plane,
)
def operational_events(
    context: dg.AssetExecutionContext, config: EventsConfig
) -> Iterator[dg.MaterializeResult]:
    """Events as documents, one index per day, found by any text in them."""
    from fraiseql_assets.events.schema import COLUMN_DESCRIPTIONS, EVENT_SCHEMA

    done = materialise(context, open_plane, config)
    key = dg.AssetKey(OPERATIONAL_EVENTS.path)
    if done.is_observation:
        context.log_event(
            dg.AssetObservation(
                key, partition=context.partition_key, metadata={"rows": done.day_rows}
            )
        )
        return
    yield dg.MaterializeResult(
        asset_key=key,
        metadata={
            **metadata_of(
                done.report, OPERATIONAL_EVENTS, day_rows=done.day_rows, ranges=done.ranges
            ),
            "dagster/column_schema": column_schema(EVENT_SCHEMA, COLUMN_DESCRIPTIONS),
        },
    )


events_against_the_log = log_checks(OPERATIONAL_EVENTS, open_plane)
