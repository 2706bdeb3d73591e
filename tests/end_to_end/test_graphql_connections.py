"""Connections to PostgreSQL: lost, refused, unread and released."""

import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import pytest
from pydantic import SecretStr
from stacks import wait_until

from flight_service.authentication import ANYONE
from flight_service.graphql.errors import DatabaseUnavailable, StreamStalled
from flight_service.graphql.postgres import pool
from flight_service.graphql.postgres.database import Database
from flight_service.graphql.postgres.pool import PoolLimits
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

NAME = "graphql_connections"


def database(url: str, **changes: Any) -> Database:
    settings: dict[str, Any] = {
        "limits": PoolLimits(connections=2, wait_seconds=5),
        "timeout_seconds": 60,
        "connect_seconds": 2,
        "stall_seconds": 60,
    }
    return Database(f"{url}?application_name={NAME}", **{**settings, **changes})


def sessions(url: str, act: str = "pid") -> list[Any]:
    """Evaluates an expression for each session of `database`."""
    with postgresql.connect(url, autocommit=True) as one, one.cursor() as run:
        run.execute(f"SELECT {act} FROM pg_stat_activity WHERE application_name = '{NAME}'")
        return run.fetchall()


def one(database: Database) -> Any:
    return database.ask("SELECT 1 AS n", [])["n"][0].as_py()


@contextmanager
def silent() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that accepts connections and sends nothing; returns the accepted connections."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/none", accepted
        server.shutdown(socket.SHUT_RDWR)
    for each in accepted:
        each.close()


def test_a_connection_that_the_server_closed_while_it_was_idle_is_replaced(
    database_url: str,
) -> None:
    with closing(database(database_url)) as found:
        assert one(found) == 1
        assert sessions(database_url, "pg_terminate_backend(pid)")
        wait_until(lambda: not sessions(database_url))
        assert one(found) == 1


def test_a_server_that_does_not_respond_is_unavailable() -> None:
    with (
        silent() as (url, _),
        closing(database(url)) as found,
        pytest.raises(DatabaseUnavailable, match="FRAISEQL_DATABASE_URL"),
    ):
        one(found)


def test_connecting_does_not_block_other_transactions() -> None:
    with silent() as (url, accepted), closing(database(url)) as found:

        def fail() -> None:
            with pytest.raises(DatabaseUnavailable):
                one(found)

        threads = [threading.Thread(target=fail) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(accepted) == 2 or not any(t.is_alive() for t in threads))
        assert all(thread.is_alive() for thread in threads)
        for thread in threads:
            thread.join()


def test_a_connection_whose_session_cannot_be_set_up_is_closed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SESSION", ("SET no_such_setting = 1",))
    with closing(database(database_url)) as found:
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                one(found)
        wait_until(lambda: not sessions(database_url))


def test_closing_closes_all_connections_and_the_handle(database_url: str) -> None:
    found = database(database_url)
    with found.transaction({}) as transaction:
        assert one(found) == 1
        found.close()
        assert transaction.table("SELECT 2 AS n")["n"][0].as_py() == 2
    wait_until(lambda: not sessions(database_url))
    assert found._pool._database is None
    with pytest.raises(DatabaseUnavailable):
        one(found)


def test_a_terminated_session_is_reported_as_unavailable(database_url: str) -> None:
    with closing(database(database_url)) as found:
        ended: list[BaseException] = []

        def sleep() -> None:
            try:
                found.ask("SELECT pg_sleep(60)", [])
            except DatabaseUnavailable as error:
                ended.append(error)

        thread = threading.Thread(target=sleep)
        thread.start()
        sleeps = "state = 'active' AND query LIKE '%pg_sleep%'"
        wait_until(lambda: sessions(database_url, sleeps) == [(True,)])
        sessions(database_url, "pg_terminate_backend(pid)")
        thread.join()
        assert "broke" in str(ended[0])


@pytest.fixture
def graphql(database_url: str, tmp_path: Path) -> Iterator[GraphQL]:
    """One connection, a very long list, and a short stall timeout."""
    shop.create(database_url)
    settings = Settings(
        database_url=SecretStr(database_url),
        schema_path=shop.create_endless(database_url, tmp_path),
        graphql_connections=1,
        graphql_wait_seconds=30,
        graphql_stall_seconds=0.5,
    )
    made = GraphQL(settings)
    yield made
    made.close()


def test_a_stream_that_is_not_read_releases_its_connection(
    graphql: GraphQL, database_url: str
) -> None:
    batches = graphql.batches(graphql.prepare(Request("{ things { id needed } }"), ANYONE))
    assert isinstance(batches, Generator)
    assert next(batches).num_rows
    # The only connection becomes free when the first stream has not been read for long enough.
    [batch] = graphql.batches(graphql.prepare(Request("{ things(limit: 1) { id } }"), ANYONE))
    assert batch.num_rows == 1
    with pytest.raises(StreamStalled, match="FRAISEQL_GRAPHQL_STALL_SECONDS"):
        for _ in batches:
            pass
    shop.until_stopped(database_url)
