"""The operational plane in Dagster: events as searchable documents in Elasticsearch, by day."""

from contextlib import closing
from typing import TYPE_CHECKING

import dagster as dg

from fraiseql_assets.catalogue import OPERATIONAL_EVENTS, OWNERS, STREAM_EVENTS
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
    from fraiseql_assets.operational.plane import OperationalPlane

GROUP = "operational"


def open_plane() -> "OperationalPlane":
    """The plane, by the settings of this process."""
    from fraiseql_assets.operational.plane import OperationalPlane
    from fraiseql_assets.settings import get_settings

    require_plane(GROUP)
    return OperationalPlane(get_settings())


@dg.asset(
    name=OPERATIONAL_EVENTS.path[-1],
    key_prefix=OPERATIONAL_EVENTS.path[:-1],
    deps=[STREAM_EVENTS.path],
    description=OPERATIONAL_EVENTS.description,
    group_name=GROUP,
    owners=list(OWNERS),
    kinds=set(OPERATIONAL_EVENTS.kinds),
    metadata={"dagster/table_name": OPERATIONAL_EVENTS.table},
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    retry_policy=RETRY,
    pool=OPERATIONAL_EVENTS.plane,
)
def operational_events(
    context: dg.AssetExecutionContext, config: EventsConfig
) -> dg.MaterializeResult:
    """Events as documents, one index per day, found by any text in them."""
    from fraiseql_assets.events.schema import COLUMN_DESCRIPTIONS, EVENT_SCHEMA

    with closing(open_plane()) as plane:
        report = materialise(context, plane, config)
        day_rows = plane.count(day_of(context.partition_key)).rows
    return dg.MaterializeResult(
        metadata={
            **metadata_of(report, OPERATIONAL_EVENTS),
            "dagster/column_schema": column_schema(EVENT_SCHEMA, COLUMN_DESCRIPTIONS),
            "dagster/partition_row_count": day_rows,
        }
    )


events_against_the_log = log_checks(OPERATIONAL_EVENTS, open_plane)
