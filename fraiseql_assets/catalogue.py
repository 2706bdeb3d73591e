"""Every data asset, defined once for Dagster and the Flight service."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asset:
    """One data asset, with its public names and descriptions."""

    key: str
    description: str
    kinds: tuple[str, ...]
    table: str
    """The name for queries in the server: a table, view, alias or stream."""
    dataset: str = "events"
    """The dataset of `fraiseql_assets.datasets` from which the asset is built."""

    @property
    def path(self) -> list[str]:
        return self.key.split("/")

    @property
    def plane(self) -> str:
        return self.path[0]

    @property
    def pool(self) -> str:
        """The pool of its runs. Only one run of a pool writes to the plane at a time."""
        return self.plane if self.dataset == "events" else f"{self.plane}_{self.dataset}"


OWNERS = ("team:data-platform",)

STREAM_EVENTS = Asset(
    "stream/events",
    "The log: every observer event FraiseQL has published, as JetStream keeps it. "
    "Both planes are projections of it.",
    ("nats",),
    "fraiseql_events",
)
STREAM_REQUESTS = Asset(
    "stream/requests",
    "The log of GraphQL requests: every request that the Flight service or the middleware has "
    "recorded, as JetStream keeps it.",
    ("nats",),
    "fraiseql_requests",
    "requests",
)
ANALYTICS_EVENTS = Asset(
    "analytics/events",
    "Every event once, as a row, for analysis: one partition per UTC day of storage in the log.",
    ("clickhouse", "table"),
    "fraiseql_events",
)
EVENTS_HOURLY = Asset(
    "analytics/events_hourly",
    "Events and distinct entities per hour (of the events' own time), entity type and event type. "
    "A partition is of the events that were stored on its day.",
    ("clickhouse", "view"),
    "fraiseql_events_hourly",
)
ORG_DAILY = Asset(
    "analytics/org_daily",
    "Per day (of the events' own time) and tenant: events, distinct entities and users, the entity "
    "types touched, and how many were created, updated and deleted. "
    "A partition is of the events that were stored on its day.",
    ("clickhouse", "view"),
    "fraiseql_org_daily",
)
EVENT_TYPE_STATS = Asset(
    "analytics/event_type_stats",
    "Per hour (of the events' own time) and event type: events, their rate, distinct entities, "
    "first and last seen, and how long the mutations took. A partition is of the events "
    "that were stored on its day.",
    ("clickhouse", "view"),
    "fraiseql_event_type_stats",
)
OPERATIONAL_EVENTS = Asset(
    "operational/events",
    "Every event once, as a searchable document: one index per UTC day of storage in the log.",
    ("elasticsearch", "index"),
    "fraiseql-events",
)
OPERATIONAL_REQUESTS = Asset(
    "operational/requests",
    "Every recorded GraphQL request once, as a searchable document: one index per UTC day of "
    "storage in the log.",
    ("elasticsearch", "index"),
    "fraiseql-requests",
    "requests",
)

LOGS = (STREAM_EVENTS, STREAM_REQUESTS)
AGGREGATES = (EVENTS_HOURLY, ORG_DAILY, EVENT_TYPE_STATS)
ASSETS = (
    *LOGS,
    ANALYTICS_EVENTS,
    *AGGREGATES,
    OPERATIONAL_EVENTS,
    OPERATIONAL_REQUESTS,
)
BY_KEY = {asset.key: asset for asset in ASSETS}
