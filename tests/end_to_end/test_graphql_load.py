"""Slow requests over HTTP: others can still be cancelled, or are told to retry later."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import httpx
import pytest
from pydantic import SecretStr
from stacks import wait_until

from flight_service.addresses import Address
from flight_service.http import HttpServer, application
from flight_service.http_streams import THREADS
from flight_service.registry import registry
from fraiseql_assets.settings import Settings

FAST = """CREATE OR REPLACE FUNCTION graphql_tests.work() RETURNS text LANGUAGE plpgsql
AS 'BEGIN RETURN 1; END'"""
SLOW = """CREATE OR REPLACE FUNCTION graphql_tests.work() RETURNS text LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep(100) ; RETURN 1; END'"""
VIEW = """CREATE OR REPLACE VIEW graphql_tests.v_thing AS
SELECT n AS id, jsonb_build_object('id', n, 'needed', graphql_tests.work()) AS data
FROM generate_series(1, 1) AS n"""
RUNNING = """SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND query LIKE 'COPY%work()%' AND pid <> pg_backend_pid()"""
QUERY = {"query": "{ things { id needed } }"}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    shop.create(database_url)
    path = shop.create_endless(database_url, tmp_path)
    execute(database_url, FAST, VIEW)
    return Settings(
        database_url=SecretStr(database_url),
        schema_path=path,
        graphql_connections=THREADS + 10,
        graphql_wait_seconds=100,
    )


def execute(database_url: str, *statements: str) -> None:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for statement in statements:
            run.execute(statement)


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    bound = Address.parse("http://127.0.0.1:0", "", "http").listen()
    web = HttpServer(bound, application(registry(settings).routes, settings))
    try:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/graphql"
        if settings.jwt_secret is None:
            # The catalogue is read before the view becomes slow.
            assert httpx.post(url, json=QUERY, timeout=60).json()["data"]["things"]
            execute(settings.database_url.get_secret_value(), SLOW)
        yield url
    finally:
        web.stop(5)


@contextmanager
def slow_requests(url: str, count: int) -> Iterator[None]:
    """Requests that wait for the database; their clients disconnect at the end."""
    with ExitStack() as stack:
        for _ in range(count):
            post(stack.enter_context(connected(url)), json.dumps(QUERY))
        yield


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port))


def post(client: socket.socket, body: str, *, length: int | None = None) -> None:
    """Sends a request, or the beginning of one with a larger Content-Length."""
    client.sendall(
        f"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {length or len(body)}\r\n\r\n{body}".encode()
    )


def running(database_url: str) -> int:
    with postgresql.connect(database_url) as one, one.cursor() as run:
        run.execute(RUNNING)
        found = run.fetchone()
        assert found
        return found[0]


def test_disconnects_are_noticed_while_all_threads_are_busy(
    settings: Settings, database_url: str
) -> None:
    with served(settings) as url:
        with slow_requests(url, THREADS + 20):
            wait_until(lambda: running(database_url) == THREADS)
        wait_until(lambda: running(database_url) == 0)


def test_a_request_above_the_limit_is_answered_with_retry_later(
    settings: Settings, database_url: str
) -> None:
    changed = settings.model_copy(update={"graphql_wait_seconds": 0.5})
    with served(changed) as url, slow_requests(url, THREADS):
        wait_until(lambda: running(database_url) == THREADS)
        answer = httpx.post(url, json=QUERY, timeout=60)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["errors"][0]["code"] == "BUSY"


def test_the_token_is_checked_before_a_body_is_read(settings: Settings) -> None:
    guarded = settings.model_copy(update={"jwt_secret": SecretStr("x" * 32)})
    with served(guarded) as url, connected(url) as client:
        post(client, "{", length=1_000_000)
        assert client.recv(100).startswith(b"HTTP/1.1 401")
