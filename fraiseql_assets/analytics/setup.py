"""Creates the tables, and adds missing columns to older ones in place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import connect, database_of, sql, translated
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Settings

EVENTS_TABLE = "fraiseql_events"
LEDGER_TABLE = "fraiseql_ledger"
ERASURES_TABLE = "fraiseql_erasures"

EVENT_HASH = "event_hash UInt64 MATERIALIZED cityHash64(event_id) CODEC(NONE)"
"""The column for duplicate lookups. It is much smaller than the ids; the table computes it."""


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
    def view(self) -> str:
        return f"fraiseql_{self.name}"

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
            client.command(f"CREATE DATABASE IF NOT EXISTS {quoted(database_of(settings))}")
        client.database = database_of(settings)
        with translated(settings):
            return list(_ensure(client, settings))
    finally:
        client.close()


def _ensure(client: Client, settings: Settings) -> Iterator[str]:
    retention = {
        "retention_raw_days": settings.retention_raw_days,
        "retention_aggregate_days": settings.retention_aggregate_days,
    }
    before = _definitions(client)
    _refuse_foreign(before)
    statements = {
        EVENTS_TABLE: sql("create_events", table=EVENTS_TABLE, event_hash=EVENT_HASH, **retention),
        LEDGER_TABLE: sql("create_ledger"),
        ERASURES_TABLE: sql("create_erasures"),
    }
    for aggregate in AGGREGATES:
        state = aggregate.state_table
        statements[state] = sql(f"create_{aggregate.name}", table=state, **retention)
        statements[f"{state}_feed"] = (
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {state}_feed TO {state} AS "
            + aggregate.select(EVENTS_TABLE)
        )
        statements[aggregate.view] = (
            f"CREATE OR REPLACE VIEW {aggregate.view} AS {aggregate.read()}"
        )
    yield from _widen(client, before)
    for name, statement in statements.items():
        client.command(statement)
        yield f"table {name}: {'as it should be' if name in before else 'created'}"
    yield from _keep_retention(client, before, settings)


def _definitions(client: Client) -> dict[str, str]:
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND name LIKE 'fraiseql%'"
    ).result_rows
    return {str(name): str(definition) for name, definition in rows}


def _refuse_foreign(definitions: dict[str, str]) -> None:
    events = definitions.get(EVENTS_TABLE)
    missing = [name for name in EVENT_SCHEMA.names if events and f"`{name}`" not in events]
    if missing:
        raise PlaneError(
            f"ClickHouse holds another table {EVENTS_TABLE}, without {', '.join(missing)}. Rename "
            "it, or name another database in FRAISEQL_CLICKHOUSE_URL, and run setup again."
        )


def _widen(client: Client, before: dict[str, str]) -> Iterator[str]:
    """Adds missing columns to older tables. Existing rows get their values when they are read."""
    for table, column, change in WIDENED:
        if table in before and f"`{column}`" not in before[table]:
            client.command(f"ALTER TABLE {table} {change}")
            yield f"table {table}: column {column} added"
    for aggregate in AGGREGATES:
        feed = f"{aggregate.state_table}_feed"
        column = NEWEST_COLUMN.get(aggregate.name)
        if (
            feed in before
            and column
            and f" {column}" not in before[feed].partition(" AS SELECT")[2]
        ):
            client.command(f"ALTER TABLE {feed} MODIFY QUERY {aggregate.select(EVENTS_TABLE)}")
            yield f"table {feed}: fills {column}"


def _keep_retention(client: Client, before: dict[str, str], settings: Settings) -> Iterator[str]:
    """Applies a changed retention setting to the existing tables."""
    wanted = {EVENTS_TABLE: ("toDate(stream_time)", settings.retention_raw_days)}
    for aggregate in AGGREGATES:
        wanted[aggregate.state_table] = ("stream_date", settings.retention_aggregate_days)
    for table, (column, days) in wanted.items():
        kept = re.search(r"TTL .*?toIntervalDay\((\d+)\)", before.get(table, ""))
        if kept and int(kept.group(1)) != days:
            client.command(f"ALTER TABLE {table} MODIFY TTL {column} + INTERVAL {days} DAY")
            yield f"table {table}: retention {kept.group(1)} → {days} days"


def quoted(name: str) -> str:
    """A name quoted as a ClickHouse identifier; it may contain any characters."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
