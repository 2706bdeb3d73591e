"""One principal that leaves large results unread blocks no other principal, on any transport."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import graphql_shop as shop
import pytest
from pyarrow import flight
from pydantic import SecretStr
from test_graphql_service import SECRET, Service, bearing, running
from tokens import signed

from flight_service.sql.commands import pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from fraiseql_assets.settings import Settings

SHARE = 2
LIST = "{ things { id needed } }"
STATEMENT = f"SELECT id, needed FROM {shop.SCHEMA}.v_thing"
Read = Callable[[Service, str], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a list of nine million rows, of which a principal may read two at once."""
    shop.create(database_url)
    path = shop.create_endless(database_url, tmp_path_factory.mktemp("schema"))
    yield from running(
        Settings(
            database_url=SecretStr(database_url),
            schema_path=path,
            jwt_secret=SecretStr(SECRET),
            graphql_connections=4 * SHARE,
            sql_connections=4 * SHARE,
            graphql_wait_seconds=0.3,
            analytics_plane=False,
        )
    )


@contextmanager
def over_flight(service: Service, name: str) -> Iterator[None]:
    ticket = flight.Ticket(json.dumps({"type": "GraphQLQuery", "query": LIST}).encode())
    reader = service.client.do_get(ticket, bearing(sub=name))
    assert reader.read_chunk().data.num_rows
    yield
    reader.cancel()


@contextmanager
def over_sql(service: Service, name: str) -> Iterator[None]:
    options = bearing(sub=name, scope="sql")
    command = flight.FlightDescriptor.for_command(
        pack(protocol.CommandStatementQuery(query=STATEMENT))
    )
    [endpoint] = service.client.get_flight_info(command, options).endpoints
    reader = service.client.do_get(endpoint.ticket, options)
    assert reader.read_chunk().data.num_rows
    yield
    reader.cancel()


@contextmanager
def over_http(service: Service, name: str) -> Iterator[None]:
    headers = {"authorization": f"Bearer {signed(SECRET, sub=name)}"}
    with service.web.stream("POST", "/graphql", json={"query": LIST}, headers=headers) as answer:
        assert answer.status_code == 200, (answer.read(), answer.headers["retry-after"])
        yield


@pytest.mark.parametrize("read", [over_flight, over_sql, over_http])
def test_unread_results_of_one_principal_block_no_other(
    service: Service, database_url: str, read: Read
) -> None:
    with ExitStack() as unread:
        for _ in range(SHARE):
            unread.enter_context(read(service, "ann"))
        with pytest.raises((flight.FlightUnavailableError, AssertionError)) as refused:
            unread.enter_context(read(service, "ann"))
        assert f"This principal reads {SHARE} large results already" in str(refused.value)
        unread.enter_context(read(service, "bob"))
    shop.until_stopped(database_url)
