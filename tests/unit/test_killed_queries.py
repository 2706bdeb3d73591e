"""A query of ClickHouse whose call is cancelled is killed, and again until it ends."""

import re
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from fraiseql_assets.analytics.results import whole_result
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.planes import PlaneUnavailable

SECONDS = 30


class Server:
    """A server whose queries end when they are killed, which it does at the last of some tries."""

    def __init__(self, *tries: Callable[[], None]) -> None:
        self._tries = list(tries)
        self._killed = threading.Event()
        self.began = threading.Event()
        self.queries: list[str] = []
        self.kills: list[str] = []

    def query(self, statement: str, parameters: Any, settings: dict[str, str]) -> Any:
        self.queries.append(settings["query_id"])
        self.began.set()
        assert self._killed.wait(SECONDS)
        raise DatabaseError("Code: 394. DB::Exception: Query was cancelled.")

    def command(self, statement: str) -> None:
        found = re.fullmatch(r"KILL QUERY WHERE query_id = '(\w+)' ASYNC", statement)
        assert found
        self.kills.append(found[1])
        self._tries.pop(0)()
        if not self._tries:
            self._killed.set()


def fails() -> None:
    raise OperationalError("The connection was refused.")


def knows_no_such_query() -> None:
    """ClickHouse's answer is the same as if it had killed the query."""


def works() -> None:
    """It kills the query."""


@pytest.mark.parametrize(
    "tries",
    [[works], [fails, works], [knows_no_such_query, works], [fails, knows_no_such_query, works]],
)
def test_a_query_is_killed_until_it_ends(tries: list[Callable[[], None]]) -> None:
    server, cancellation = Server(*tries), Cancellation()

    def read() -> None:
        with pytest.raises(DatabaseError, match="cancelled"):
            whole_result(cast(Client, server), "SELECT 1", {}, cancellation)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    assert server.began.wait(SECONDS)
    cancellation.cancel()
    reading.join(SECONDS)
    assert not reading.is_alive()
    assert server.kills[: len(tries)] == server.queries * len(tries)


def test_a_query_that_was_cancelled_before_is_not_sent() -> None:
    server, cancellation = Server(works), Cancellation()
    cancellation.cancel()
    with pytest.raises(PlaneUnavailable):
        whole_result(cast(Client, server), "SELECT 1", {}, cancellation)
    assert (server.queries, server.kills) == ([], [])


def test_a_query_that_has_ended_is_not_killed() -> None:
    server, cancellation = Server(), Cancellation()
    server.query = lambda *_, **__: type("Rows", (), {"result_rows": [[1]]})
    assert whole_result(cast(Client, server), "SELECT 1", {}, cancellation) == [[1]]
    cancellation.cancel()
    assert server.kills == []
