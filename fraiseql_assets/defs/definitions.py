"""The Dagster code location: assets, checks, jobs, sensors and schedules of both planes."""

import dagster as dg

from fraiseql_assets.catalogue import ANALYTICS_EVENTS, OPERATIONAL_EVENTS
from fraiseql_assets.defs import analytics_assets as analytics
from fraiseql_assets.defs import operational_assets as operational
from fraiseql_assets.defs.partitions import DAILY
from fraiseql_assets.defs.stream_assets import stream_events
from sensors.events import analytics_plane, events_sensor, operational_plane
from sensors.orphans import orphaned_runs
from sensors.yesterday import heal_schedule

analytics_job = dg.define_asset_job(
    "materialise_analytics_events",
    selection=dg.AssetSelection.assets(analytics.analytics_events),
    partitions_def=DAILY,
    description="Adds a range of the log to ClickHouse, or rebuilds a day of it, and checks it.",
)
operational_job = dg.define_asset_job(
    "materialise_operational_events",
    selection=dg.AssetSelection.assets(operational.operational_events),
    partitions_def=DAILY,
    description="Adds a range of the log to Elasticsearch, or rebuilds a day of it, and checks it.",
)

defs = dg.Definitions(
    assets=[stream_events, analytics.analytics_events, operational.operational_events],
    asset_checks=[
        analytics.events_against_the_log,
        *analytics.aggregate_checks,
        operational.events_against_the_log,
    ],
    jobs=[analytics_job, operational_job],
    sensors=[
        events_sensor(ANALYTICS_EVENTS, "analytics_events", analytics_job.name, analytics_plane),
        events_sensor(
            OPERATIONAL_EVENTS, "operational__events", operational_job.name, operational_plane
        ),
        orphaned_runs,
    ],
    schedules=[
        heal_schedule("analytics", "analytics_events", analytics_job.name),
        heal_schedule("operational", "operational__events", operational_job.name),
    ],
    # A run is one op that overlaps its own stages; a process per step would cost it three seconds.
    executor=dg.in_process_executor,
)
