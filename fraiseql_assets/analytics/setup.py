"""Creates the tables, and adds missing columns to older ones in place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import connect, database_of, sql, translated
from fraiseql_assets.analytics.layout import Layout
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Settings

EVENTS_TABLE = "fraiseql_events"
LEDGER_TABLE = "fraiseql_ledger"
ERASURES_TABLE = "fraiseql_erasures"

EVENT_HASH = "event_hash UInt64 MATERIALIZED cityHash64(event_id) CODEC(NONE)"
"""The column for duplicate lookups. It is much smaller than the ids; the table computes it."""


EVENTS_SHARD = "cityHash64(event_id)"
"""The expression that decides an event's shard: the same event is always on the same one."""
NEWEST_ROW = ("ReplacingMergeTree", "at")
"""The engine of tables whose newest row of a key is in force."""

WIDENED = (
    (EVENTS_TABLE, "event_hash", f"ADD COLUMN IF NOT EXISTS {EVENT_HASH}"),
    (
        "fraiseql_org_daily_state",
        "tenant_is_empty",
        "ADD COLUMN IF NOT EXISTS tenant_is_empty UInt8 AFTER tenant, "
        "MODIFY ORDER BY (day, tenant, tenant_is_empty)",
    ),
    (
        "fraiseql_event_type_stats_state",
        "duration_sum_ms",
        "ADD COLUMN IF NOT EXISTS duration_sum_ms AggregateFunction(sum, Nullable(Int128))",
    ),
)
"""Tables of older releases: a column that they may lack, and the clause that adds it."""
NEWEST_COLUMN = {"org_daily": "tenant_is_empty", "event_type_stats": "duration_sum_ms"}
"""The columns whose absence identifies a materialized view of an older release."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate: a table of states that a materialized view feeds and a view merges."""

    name: str
    key: str
    """The columns of the state table that identify a row."""

    @property
    def state_table(self) -> str:
        return f"fraiseql_{self.name}_state"

    @property
    def feed(self) -> str:
        """The materialized view that fills the state table."""
        return f"{self.state_table}_feed"

    @property
    def view(self) -> str:
        return f"fraiseql_{self.name}"

    @property
    def shard(self) -> str:
        """The expression that decides the shard of a row which no feed has written."""
        return f"cityHash64({self.key})"

    def select(self, source: str) -> str:
        """The query that aggregates the events of a table into states."""
        return sql(f"aggregate_{self.name}", source=source)

    def read(self, days: str = "true") -> str:
        """The query that merges states into rows, for storage days that satisfy a condition on
        `stream_date`."""
        return sql(f"read_{self.name}", days=days)


AGGREGATES = (
    Aggregate("events_hourly", "hour, entity_type, event_type"),
    Aggregate("org_daily", "day, tenant, tenant_is_empty"),
    Aggregate("event_type_stats", "hour, event_type"),
)


def setup_tables(settings: Settings) -> list[str]:
    """Creates the database, tables and views that are missing; idempotent.

    Returns what was done, as lines of text.

    Raises:
        PlaneError: a table of the same name exists and does not belong to this project.
    """
    client = connect(settings, timeout=settings.request_timeout_seconds, database="default")
    try:
        with translated(settings):
            database = quoted(database_of(settings))
            on_cluster = Layout.of(settings).on_cluster
            client.command(f"CREATE DATABASE IF NOT EXISTS {database}{on_cluster}")
        client.database = database_of(settings)
        with translated(settings):
            return list(_ensure(client, settings))
    finally:
        client.close()


def _ensure(client: Client, settings: Settings) -> Iterator[str]:
    layout = Layout.of(settings)
    before = _definitions(client)
    _refuse_foreign(before, layout)
    yield from _widen(client, before, layout)
    for name, statements in table_statements(settings).items():
        for statement in statements:
            client.command(statement)
        yield f"table {name}: {'as it should be' if name in before else 'created'}"
    yield from _keep_retention(client, before, settings)


def table_statements(settings: Settings) -> dict[str, list[str]]:
    """The statements that create each table and view, if it does not exist."""
    layout = Layout.of(settings)
    clauses = {
        **layout.clauses,
        "retention_raw_days": settings.retention_raw_days,
        "retention_aggregate_days": settings.retention_aggregate_days,
    }
    engine = {"on_cluster": layout.on_cluster, "engine": layout.everywhere(*NEWEST_ROW)}
    events = layout.held(EVENTS_TABLE)
    statements = {
        EVENTS_TABLE: [
            sql("create_events", table=events, event_hash=EVENT_HASH, **clauses),
            *layout.distributed(EVENTS_TABLE, EVENTS_SHARD),
        ],
        LEDGER_TABLE: [sql("create_ledger", **engine)],
        ERASURES_TABLE: [sql("create_erasures", **engine)],
    }
    for aggregate in AGGREGATES:
        state = layout.held(aggregate.state_table)
        statements[aggregate.state_table] = [
            sql(f"create_{aggregate.name}", table=state, **clauses),
            *layout.distributed(aggregate.state_table, aggregate.shard),
        ]
        # Each server aggregates the events that it stores.
        statements[aggregate.feed] = [
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {aggregate.feed}{layout.on_cluster} "
            f"TO {state} AS {aggregate.select(events)}"
        ]
        statements[aggregate.view] = [
            f"CREATE OR REPLACE VIEW {aggregate.view}{layout.on_cluster} AS {aggregate.read()}"
        ]
    return statements


def _definitions(client: Client) -> dict[str, str]:
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND name LIKE 'fraiseql%'"
    ).result_rows
    return {str(name): str(definition) for name, definition in rows}


def _refuse_foreign(definitions: dict[str, str], layout: Layout) -> None:
    events = definitions.get(EVENTS_TABLE)
    is_distributed = "ENGINE = Distributed" in (events or "")
    if events and is_distributed != bool(layout.cluster):
        raise PlaneError(
            f"ClickHouse holds the table {EVENTS_TABLE} "
            f"{'of a cluster' if is_distributed else 'of one server'}, which "
            "FRAISEQL_CLICKHOUSE_CLUSTER contradicts. Correct it, or name another database in "
            "FRAISEQL_CLICKHOUSE_URL, run setup and rebuild the days there."
        )
    missing = [name for name in EVENT_SCHEMA.names if events and f"`{name}`" not in events]
    if missing:
        raise PlaneError(
            f"ClickHouse holds another table {EVENTS_TABLE}, without {', '.join(missing)}. Rename "
            "it, or name another database in FRAISEQL_CLICKHOUSE_URL, and run setup again."
        )


def _widen(client: Client, before: dict[str, str], layout: Layout) -> Iterator[str]:
    """Adds missing columns to older tables. Existing rows get their values when they are read."""
    on_cluster = layout.on_cluster
    for table, column, change in WIDENED:
        held = layout.held(table)
        if held in before and f"`{column}`" not in before[held]:
            client.command(f"ALTER TABLE {held}{on_cluster} {change}")
            if layout.cluster:
                # It is created again, over the wider table.
                client.command(f"DROP TABLE IF EXISTS {table}{on_cluster} SYNC")
            yield f"table {table}: column {column} added"
    for aggregate in AGGREGATES:
        column = NEWEST_COLUMN.get(aggregate.name)
        definition = before.get(aggregate.feed)
        if definition and column and f" {column}" not in definition.partition(" AS SELECT")[2]:
            select = aggregate.select(layout.held(EVENTS_TABLE))
            client.command(f"ALTER TABLE {aggregate.feed}{on_cluster} MODIFY QUERY {select}")
            yield f"table {aggregate.feed}: fills {column}"


def _keep_retention(client: Client, before: dict[str, str], settings: Settings) -> Iterator[str]:
    """Applies a changed retention setting to the existing tables."""
    layout = Layout.of(settings)
    wanted = {EVENTS_TABLE: ("toDate(stream_time)", settings.retention_raw_days)}
    for aggregate in AGGREGATES:
        wanted[aggregate.state_table] = ("stream_date", settings.retention_aggregate_days)
    for table, (column, days) in wanted.items():
        held = layout.held(table)
        kept = re.search(r"TTL .*?toIntervalDay\((\d+)\)", before.get(held, ""))
        if kept and int(kept.group(1)) != days:
            client.command(
                f"ALTER TABLE {held}{layout.on_cluster} MODIFY TTL {column} + INTERVAL {days} DAY"
            )
            yield f"table {table}: retention {kept.group(1)} → {days} days"


def quoted(name: str) -> str:
    """A name quoted as a ClickHouse identifier; it may contain any characters."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
