"""Small queries get connections to PostgreSQL while large ones run."""

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import graphql_shop as shop
import pytest
from pydantic import SecretStr

from flight_service.authentication import ANYONE
from flight_service.graphql.errors import Cancelled, DatabaseUnavailable
from flight_service.graphql.execution.admission import MANY_ROWS
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings

LARGE, SMALL = "{ things { id needed } }", "{ things(limit: 1) { id } }"


@pytest.fixture
def graphql(database_url: str, tmp_path: Path) -> Iterator[GraphQL]:
    """Two connections, of which large results may use one, and a very long list."""
    shop.create(database_url)
    settings = Settings(
        database_url=SecretStr(database_url),
        schema_path=shop.create_endless(database_url, tmp_path),
        batch_rows=MANY_ROWS,
        graphql_connections=2,
        graphql_wait_seconds=3,
    )
    made = GraphQL(settings)
    yield made
    made.close()


def read_once(graphql: GraphQL) -> None:
    """Starts reading the large list."""
    with streaming(graphql):
        pass


@contextmanager
def streaming(graphql: GraphQL) -> Iterator[None]:
    """The large list while it is read."""
    batches = graphql.batches(graphql.prepare(Request(LARGE), ANYONE))
    assert isinstance(batches, Generator)
    with closing(batches):
        assert next(batches).num_rows == MANY_ROWS
        yield


def test_a_small_query_does_not_wait_for_large_ones(graphql: GraphQL) -> None:
    refused = threading.Event()

    def read_another() -> None:
        with pytest.raises(DatabaseUnavailable, match="FRAISEQL_GRAPHQL_CONNECTIONS"):
            read_once(graphql)
        refused.set()

    with streaming(graphql):
        second = threading.Thread(target=read_another)
        second.start()
        for _ in range(5):
            [batch] = graphql.batches(graphql.prepare(Request(SMALL), ANYONE))
            assert batch.num_rows == 1
        second.join()
    assert refused.is_set()


def test_no_statement_runs_for_a_client_that_disconnected_while_waiting(
    graphql: GraphQL, database_url: str
) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        list(graphql.batches(graphql.prepare(Request(LARGE), ANYONE), cancellation=cancellation))
    assert shop.running(database_url) == 0
