"""One small write and read of each embedded server, as its clients make them."""

import asyncio
from collections.abc import Callable

import requests
from adbc_driver_postgresql import dbapi
from clickhouse_requests import ask_clickhouse

from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, connect
from fraiseql_assets.stream.setup import setup_streams


def write_nats(settings: Settings) -> None:
    async def write() -> None:
        await setup_streams(settings)
        async with connect(settings, name="test") as client:
            await client.jetstream().publish(f"{settings.subject_prefix}.Order.INSERT", b"{}")

    asyncio.run(write())


def read_nats(settings: Settings) -> int:
    async def read() -> int:
        async with connect(settings, name="test") as client:
            return (await client.jetstream().stream_info(settings.stream)).state.messages

    return asyncio.run(read())


def clickhouse(settings: Settings, statement: str) -> str:
    return ask_clickhouse(settings.clickhouse_url.get_secret_value(), statement, seconds=10)


def write_clickhouse(settings: Settings) -> None:
    clickhouse(settings, "CREATE TABLE IF NOT EXISTS t (n Int32) ENGINE MergeTree ORDER BY n")
    clickhouse(settings, "INSERT INTO t VALUES (1)")


def write_elasticsearch(settings: Settings) -> None:
    url = f"{settings.elasticsearch_url.get_secret_value()}/t/_doc/1?refresh=true"
    requests.put(url, json={"n": 1}, timeout=10).raise_for_status()


def read_elasticsearch(settings: Settings) -> int:
    url = f"{settings.elasticsearch_url.get_secret_value()}/t/_count"
    return requests.get(url, timeout=10).json()["count"]


def postgresql(settings: Settings, statement: str) -> list[tuple[int]]:
    with (
        dbapi.connect(settings.database_url.get_secret_value(), autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return cursor.fetchall() if statement.startswith("SELECT") else []


def write_postgresql(settings: Settings) -> None:
    postgresql(settings, "CREATE TABLE IF NOT EXISTS t (n int)")
    postgresql(settings, "INSERT INTO t VALUES (1)")


WRITES: dict[str, Callable[[Settings], None]] = {
    "NATS": write_nats,
    "ClickHouse": write_clickhouse,
    "Elasticsearch": write_elasticsearch,
    "PostgreSQL": write_postgresql,
}
READS: dict[str, Callable[[Settings], int]] = {
    "NATS": read_nats,
    "ClickHouse": lambda settings: int(clickhouse(settings, "SELECT count() FROM t")),
    "Elasticsearch": read_elasticsearch,
    "PostgreSQL": lambda settings: postgresql(settings, "SELECT count(*) FROM t")[0][0],
}


def accepts_writes(settings: Settings, title: str) -> bool:
    """Whether the server answers and lets this user write."""
    try:
        WRITES[title](settings)
    except (LogError, requests.RequestException, dbapi.Error):
        return False
    return True
