"""The erasures recorded in ClickHouse, and the days that they affect."""

from datetime import UTC, date

from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import sql
from fraiseql_assets.analytics.setup import ERASURES_TABLE
from fraiseql_assets.erasures import Erasure

COLUMNS = ("stream", "event_id", "entity_type", "entity_id", "upto", "at")


def read_erasures(client: Client, stream: str) -> list[Erasure]:
    """The newest record of every erasure."""
    found = client.query(
        f"SELECT {', '.join(COLUMNS)} FROM {ERASURES_TABLE} FINAL "
        "WHERE stream = {stream:String} ORDER BY at",
        parameters={"stream": stream},
    )
    return [
        Erasure(**{**row, "at": row["at"].replace(tzinfo=UTC)}) for row in found.named_results()
    ]


def write_erasure(client: Client, erasure: Erasure) -> None:
    """Records an erasure. It replaces an older record of the same events."""
    row = [getattr(erasure, name) for name in COLUMNS]
    client.insert(ERASURES_TABLE, [row], column_names=COLUMNS, settings={"async_insert": 0})


def erased_days(client: Client, erasure: Erasure) -> list[date]:
    """The days that hold events matched by an erasure."""
    parameters = {
        name: getattr(erasure, name) for name in ("upto", "event_id", "entity_type", "entity_id")
    }
    rows = client.query(sql("select_erased_days"), parameters=parameters).result_rows
    return [day for (day,) in rows]
