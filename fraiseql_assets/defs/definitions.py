"""The Dagster code location: assets, checks, jobs, sensors and schedules of both planes."""

from functools import partial

import dagster as dg

from fraiseql_assets.catalogue import ANALYTICS_EVENTS, OPERATIONAL_EVENTS
from fraiseql_assets.defs import analytics_assets as analytics
from fraiseql_assets.defs import operational_assets as operational
from fraiseql_assets.defs.jobs import ANALYTICS_JOBS, OPERATIONAL_JOBS
from fraiseql_assets.defs.partitions import FIRST_DAY
from fraiseql_assets.defs.retention import RETENTION_JOBS
from fraiseql_assets.defs.source_links import with_source_links
from fraiseql_assets.defs.stream_assets import stream_events
from fraiseql_assets.settings import get_settings
from sensors.events import events_sensor, plane_of_ticks
from sensors.failures import failure_sensor
from sensors.nightly import retention_schedule, verify_schedule
from sensors.orphans import orphan_sensor
from sensors.stream import stream_sensor

ANALYTICS_OP, OPERATIONAL_OP = "analytics_events", "operational__events"

starts = get_settings().start_sensors
SENSORS = dg.DefaultSensorStatus.RUNNING if starts else dg.DefaultSensorStatus.STOPPED
SCHEDULES = dg.DefaultScheduleStatus.RUNNING if starts else dg.DefaultScheduleStatus.STOPPED

defs = dg.Definitions(
    assets=[
        stream_events,
        *with_source_links(
            [analytics.analytics_events, operational.operational_events],
            get_settings().source_url,
        ),
    ],
    asset_checks=[
        analytics.events_against_the_log,
        analytics.aggregates_against_the_rows,
        operational.events_against_the_log,
    ],
    jobs=[*ANALYTICS_JOBS, *OPERATIONAL_JOBS, *RETENTION_JOBS],
    sensors=[
        events_sensor(
            ANALYTICS_EVENTS,
            ANALYTICS_OP,
            ANALYTICS_JOBS[0].name,
            partial(plane_of_ticks, ANALYTICS_EVENTS.plane),
            first_day=FIRST_DAY,
            status=SENSORS,
        ),
        events_sensor(
            OPERATIONAL_EVENTS,
            OPERATIONAL_OP,
            OPERATIONAL_JOBS[0].name,
            partial(plane_of_ticks, OPERATIONAL_EVENTS.plane),
            first_day=FIRST_DAY,
            status=SENSORS,
        ),
        orphan_sensor(SENSORS),
        failure_sensor(SENSORS),
        stream_sensor(SENSORS),
    ],
    schedules=[
        verify_schedule("analytics", ANALYTICS_OP, ANALYTICS_JOBS[1].name, SCHEDULES),
        verify_schedule("operational", OPERATIONAL_OP, OPERATIONAL_JOBS[1].name, SCHEDULES),
        *(retention_schedule(job, SCHEDULES) for job in RETENTION_JOBS),
    ],
    # A run is one op that overlaps its own stages; a process per step would cost it three seconds.
    executor=dg.in_process_executor,
)
