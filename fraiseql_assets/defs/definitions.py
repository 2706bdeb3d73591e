"""The Dagster code location: assets, checks, jobs, sensors and schedules of both planes."""

from functools import partial

import dagster as dg

from fraiseql_assets.catalogue import (
    ANALYTICS_EVENTS,
    OPERATIONAL_EVENTS,
    OPERATIONAL_REQUESTS,
    STREAM_EVENTS,
    STREAM_REQUESTS,
)
from fraiseql_assets.defs import analytics_assets as analytics
from fraiseql_assets.defs import operational_assets as operational
from fraiseql_assets.defs.jobs import ANALYTICS_JOBS, OPERATIONAL_JOBS, REQUEST_JOBS
from fraiseql_assets.defs.partitions import FIRST_DAY
from fraiseql_assets.defs.retention import RETENTION_JOBS
from fraiseql_assets.defs.source_links import with_source_links
from fraiseql_assets.defs.stream_assets import stream_events, stream_requests
from fraiseql_assets.resources import RESOURCES
from fraiseql_assets.settings import get_settings
from sensors.failures import failure_sensor
from sensors.ingestion import events_sensor, plane_of_ticks
from sensors.nightly import retention_schedule, verify_schedule
from sensors.observation import stream_sensor
from sensors.orphans import orphan_sensor
from sensors.tick_history import tick_history_sensor

FED = (
    (ANALYTICS_EVENTS, "analytics_events", ANALYTICS_JOBS),
    (OPERATIONAL_EVENTS, "operational__events", OPERATIONAL_JOBS),
    (OPERATIONAL_REQUESTS, "operational__requests", REQUEST_JOBS),
)
"""The assets that are filled from a log, with their ops and jobs."""

starts = get_settings().start_sensors
SENSORS = dg.DefaultSensorStatus.RUNNING if starts else dg.DefaultSensorStatus.STOPPED
SCHEDULES = dg.DefaultScheduleStatus.RUNNING if starts else dg.DefaultScheduleStatus.STOPPED

sensors = [
    *(
        events_sensor(
            asset,
            op,
            jobs[0].name,
            partial(plane_of_ticks, asset),
            first_day=FIRST_DAY,
            status=SENSORS,
        )
        for asset, op, jobs in FED
    ),
    orphan_sensor(SENSORS),
    failure_sensor(SENSORS),
    stream_sensor(STREAM_EVENTS, SENSORS),
    stream_sensor(STREAM_REQUESTS, SENSORS),
]
sensors.append(tick_history_sensor([sensor.name for sensor in sensors], SENSORS))

defs = dg.Definitions(
    assets=[
        stream_events,
        stream_requests,
        *with_source_links(
            [
                analytics.analytics_events,
                operational.operational_events,
                operational.operational_requests,
            ],
            get_settings().source_url,
        ),
    ],
    asset_checks=[
        analytics.events_against_the_log,
        analytics.aggregates_against_the_rows,
        operational.events_against_the_log,
        operational.requests_against_the_log,
    ],
    jobs=[*(job for _, _, jobs in FED for job in jobs), *RETENTION_JOBS],
    sensors=sensors,
    schedules=[
        *(verify_schedule(asset, op, jobs[1].name, SCHEDULES) for asset, op, jobs in FED),
        *(retention_schedule(job, SCHEDULES) for job in RETENTION_JOBS),
    ],
    resources=RESOURCES,
    # A run is one op that overlaps its own stages. A process per step would add three seconds.
    executor=dg.in_process_executor,
)
