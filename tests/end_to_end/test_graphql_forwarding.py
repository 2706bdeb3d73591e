"""Flight in front of a FraiseQL server: the same tickets, read from that server's JSON.

The server behind is this service's own `/graphql` on a real database: a real GraphQL server, asked
over HTTP as any is. What is compared with is what the service reads from that database itself.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import pyarrow as pa
import pytest
from pyarrow import flight
from pydantic import SecretStr
from test_graphql_service import ARROW, GRAPHQL, SECRET, Service, running

from flight_service.errors import sentence_of
from fraiseql_assets.settings import Settings

ALL = "id name age score balance active born wakes joinedAt followers meta tags mood"
QUERIES = [
    f"{{ authors(orderBy: {{id: ASC}}) {{ {ALL} place {{ city zip }} }} }}",
    '{ authors(where: {name: {eq: "nobody"}}) { id balance } }',
    "{ authors(limit: 3, orderBy: {id: ASC}) { __typename key: id } }",
    """{ posts(orderBy: {id: ASC}) { id title words price author { id born place { zip } }
        comments { body likes marks replies { body } } } }""",
    '{ author(id: "00000000-0000-0000-0000-000000000007") { id name followers } }',
    '{ author(id: "none") { id } }',
    "{ pets(orderBy: {id: ASC}) { id name ... on Dog { barks } ... on Cat { lives } } }",
    "{ beasts { ... on Dog { id barks } ... on Cat { id lives } } }",
    "{ beasts { kind: __typename ... on Dog { id } } }",
    '{ a: authors(limit: 2, orderBy: {id: ASC}) { id tags } b: author(id: "x") { id } '
    '__typename __type(name: "Place") { name } }',
    "{ authorPages(first: 2) { edges { cursor node { id tags } } "
    "pageInfo { hasNextPage hasPreviousPage endCursor } } }",
    "{ things(orderBy: {id: ASC}) { id text whole number exact flag at any needed "
    "inner { id needed } many { id text needed } grid } }",
    "{ __typename }",
]
THINGS = [
    {"exact": "12345678901234567890.1234567891", "whole": 2**31 - 1, "number": 1e300},
    {"text": 'a "quote" \\ 😀 \n', "flag": False, "at": "2026-01-01T00:00:00.000001Z"},
    {"any": {"a": [1, None, "x"]}, "grid": [[1, 2], [], None], "many": [None, {"id": 1}]},
    {"inner": {"id": 5, "needed": "y"}, "many": [], "any": [], "text": ""},
]


@pytest.fixture(scope="module")
def base(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    shop.create(database_url)
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for number, thing in enumerate(THINGS):
            many = [one and one | {"needed": "n"} for one in thing.get("many", [])]
            document = {"id": number, "needed": "x"} | thing | {"many": many}
            run.execute(
                "INSERT INTO graphql_tests.tv_thing VALUES ($1, $2::jsonb)",
                (number, json.dumps(document)),
            )
    path = shop.write_schema(tmp_path_factory.mktemp("schema"))
    return Settings(database_url=SecretStr(database_url), schema_path=path, batch_rows=7)


@pytest.fixture(scope="module")
def behind(base: Settings) -> Iterator[Service]:
    """The server that requests are forwarded to; it reads the database."""
    yield from running(base)


def in_front(server: Service | str, schema_path: Path | None, **more: Any) -> Settings:
    """Settings that name a FraiseQL server and no database."""
    url = server if isinstance(server, str) else f"{server.web.base_url}/graphql"
    return Settings(graphql_url=url, schema_path=schema_path, batch_rows=7, **more)


@pytest.fixture(scope="module")
def service(base: Settings, behind: Service) -> Iterator[Service]:
    yield from running(in_front(behind, base.schema_path))


def assert_widened(direct: pa.Schema, forwarded: pa.Schema) -> None:
    """Asserts that the forwarded schema equals that of the columns, except for sizes of numbers."""
    assert direct.names == forwarded.names
    for one, other in zip(direct, forwarded, strict=True):
        assert one.nullable == other.nullable
        assert shape(one.type) == shape(other.type)


def shape(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return [(one.name, one.nullable, shape(one.type)) for one in kind.fields]
    if pa.types.is_list(kind):
        return [kind.value_field.nullable, shape(kind.value_type)]
    if pa.types.is_integer(kind):
        return "integer"
    return "decimal" if pa.types.is_decimal(kind) else kind


@pytest.mark.parametrize("query", QUERIES)
def test_a_forwarded_query_returns_what_the_database_returns(
    service: Service, behind: Service, query: str
) -> None:
    forwarded, direct = service.table({"query": query}), behind.table({"query": query})
    assert_widened(direct.schema, forwarded.schema)
    assert forwarded.to_pylist() == direct.to_pylist()


def test_the_schema_is_known_without_a_request_to_the_server(
    base: Settings, service: Service
) -> None:
    # Nothing listens at this address.
    for alone in running(in_front("http://127.0.0.1:9/graphql", base.schema_path)):
        for query in QUERIES:
            ticket = json.dumps({"type": "GraphQLQuery", "query": query}).encode()
            descriptor = flight.FlightDescriptor.for_command(ticket)
            told = alone.client.get_schema(descriptor).schema
            assert alone.client.get_flight_info(descriptor).schema == told
            assert service.table({"query": query}).schema == told


def test_variables_operation_name_and_field_are_forwarded(service: Service) -> None:
    query = """query A($n: Int) { authors(limit: $n) { id } }
        query B($n: Int) { x: authors(limit: $n) { id } y: posts(limit: 1) { id } }"""
    ticket = {"query": query, "variables": {"n": 4}, "operationName": "B", "field": "x"}
    assert service.table(ticket).num_rows == 4


def test_a_query_by_its_name_is_forwarded(service: Service) -> None:
    short = json.dumps({"query": "authors", "variables": {"limit": 2}}).encode()
    assert service.client.do_get(flight.Ticket(short)).read_all().num_rows == 2


def test_pages_follow_the_servers_cursors(service: Service) -> None:
    first = service.table({"query": "{ authorPages(first: 2) { pageInfo { endCursor } } }"})
    after = first["pageInfo"][0].as_py()["endCursor"]
    query = f'{{ authorPages(first: 1, after: "{after}") {{ edges {{ node {{ id }} }} }} }}'
    [row] = service.table({"query": query}).to_pylist()
    assert row["edges"] == [{"node": {"id": "00000000-0000-0000-0000-000000000003"}}]


def test_http_returns_the_servers_json_and_arrow(service: Service, behind: Service) -> None:
    query = QUERIES[0]
    assert service.json(query) == behind.json(query)
    answer = service.web.post("/graphql", json={"query": query}, headers={"accept": ARROW})
    rows = pa.ipc.open_stream(answer.content).read_all().to_pylist()
    assert rows == behind.table({"query": query}).to_pylist()
    got = service.web.get("/graphql", params={"query": query}, headers={"accept": GRAPHQL})
    assert (got.json(), got.headers["content-type"].partition(";")[0]) == (
        behind.json(query),
        GRAPHQL,
    )


def test_an_invalid_query_is_refused_without_a_request_to_the_server(service: Service) -> None:
    with pytest.raises(pa.ArrowInvalid, match="Cannot query field 'nam' on type 'Author'"):
        service.table({"query": "{ authors { nam } }"})


def test_the_token_is_forwarded_to_the_server(base: Settings) -> None:
    secret = SecretStr(SECRET)
    for behind in running(base.model_copy(update={"jwt_secret": secret})):
        query = {"query": "{ myAuthors { id } }"}
        admins = {"query": "{ adminAuthors { id } }"}
        for knows in ({"jwt_secret": secret}, {}):
            for service in running(in_front(behind, base.schema_path, **knows)):
                assert service.table(query, sub="a", tenant_id="tenant1").num_rows == 20
                assert service.table(query, sub="a", tenant_id="nobody").num_rows == 0
                with pytest.raises(flight.FlightUnauthorizedError, match="claim 'tenant_id'"):
                    service.table(query, sub="a")
                with pytest.raises(flight.FlightUnauthorizedError, match="role 'admin'"):
                    service.table(admins, sub="a", roles=["reader"])
                assert service.table(admins, sub="a", roles=["admin"]).num_rows == 60


def test_errors_of_the_server_are_forwarded(
    base: Settings, tmp_path: Path, service: Service
) -> None:
    # A schema that is newer than the server's.
    newer = json.loads(json.dumps(shop.COMPILED).replace('"posts"', '"articles"'))
    for ahead in running(in_front(str(_url(service)), shop.write_schema(tmp_path, newer))):
        with pytest.raises(pa.ArrowInvalid, match="Cannot query field 'articles'"):
            ahead.table({"query": "{ articles { id } }"})
        assert ahead.table({"query": "{ authors { id } }"}).num_rows == 60


def _url(service: Service) -> str:
    return f"{service.web.base_url}/graphql"


def test_a_value_of_another_type_is_an_error_with_its_path(
    base: Settings, tmp_path: Path, behind: Service
) -> None:
    other = json.loads(
        json.dumps(shop.COMPILED).replace(
            '"name", "field_type": "String"', '"name", "field_type": "Int"'
        )
    )
    for service in running(in_front(behind, shop.write_schema(tmp_path, other))):
        with pytest.raises(flight.FlightInternalError) as error:
            service.table({"query": "{ authors(orderBy: {id: ASC}) { id name } }"})
        place = "authors, row 0, name: the FraiseQL server's answer does not fit"
        assert place in str(error.value)


def test_a_response_that_is_too_large_is_refused(base: Settings, behind: Service) -> None:
    for service in running(in_front(behind, base.schema_path, graphql_forward_bytes=2**16)):
        assert service.table({"query": "{ authors { id } }"}).num_rows == 60
        with pytest.raises(pa.ArrowInvalid, match="FRAISEQL_GRAPHQL_FORWARD_BYTES"):
            service.table({"query": QUERIES[3]})


def test_more_rows_than_allowed_are_refused(base: Settings, behind: Service) -> None:
    for service in running(in_front(behind, base.schema_path, graphql_max_rows=59)):
        with pytest.raises(pa.ArrowInvalid, match="FRAISEQL_GRAPHQL_MAX_ROWS"):
            service.table({"query": "{ authors { id } }"})


def test_a_server_that_is_down_is_unavailable(base: Settings) -> None:
    for service in running(in_front("http://127.0.0.1:9/graphql", base.schema_path)):
        with pytest.raises(flight.FlightUnavailableError, match="FRAISEQL_GRAPHQL_URL names"):
            service.table({"query": "{ authors { id } }"})
        answer = service.web.post("/graphql", json={"query": "{ authors { id } }"})
        assert answer.status_code == 502


def test_clients_see_neither_the_address_nor_the_password_of_the_server(base: Settings) -> None:
    query = {"type": "GraphQLQuery", "query": "{ authors { id } }"}
    for service in running(in_front("http://ann:s3cret@127.0.0.1:9/graphql", base.schema_path)):
        with pytest.raises(flight.FlightUnavailableError) as caught:
            service.table({"query": query["query"]})
        action = flight.Action("ExplainGraphQLQuery", json.dumps(query).encode())
        [explained] = service.client.do_action(action)
        answer = service.web.post("/graphql", json={"query": query["query"]})
        for seen in (sentence_of(caught.value), explained.body.to_pybytes().decode(), answer.text):
            assert "s3cret" not in seen
            assert "127.0.0.1" not in seen


def test_an_address_with_a_wrong_path_is_an_error(base: Settings, behind: Service) -> None:
    for service in running(in_front(f"{behind.web.base_url}/nowhere", base.schema_path)):
        with pytest.raises(flight.FlightInternalError, match="There is no such path"):
            service.table({"query": "{ authors { id } }"})


@pytest.fixture
def web_server() -> Iterator[str]:
    """A web server that knows nothing of GraphQL, and answers a POST with 501 and HTML."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/graphql"
        server.shutdown()


def test_a_server_without_graphql_is_an_error(base: Settings, web_server: str) -> None:
    for service in running(in_front(web_server, base.schema_path)):
        with pytest.raises(flight.FlightInternalError, match="status 501 and no GraphQL"):
            service.table({"query": "{ authors { id } }"})


@pytest.fixture
def silent() -> Iterator[tuple[str, socket.socket]]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/graphql", listening


def test_a_server_that_does_not_answer_in_time_is_an_error(
    base: Settings, silent: tuple[str, socket.socket]
) -> None:
    changed = in_front(silent[0], base.schema_path, graphql_timeout_seconds=0.3)
    for service in running(changed):
        with pytest.raises(flight.FlightTimedOutError, match="TIMEOUT_SECONDS"):
            service.table({"query": "{ authors { id } }"})


def test_a_client_that_disconnects_ends_the_request(
    base: Settings, silent: tuple[str, socket.socket]
) -> None:
    url, listening = silent
    listening.settimeout(30)
    for service in running(in_front(url, base.schema_path)):
        ticket = json.dumps({"type": "GraphQLQuery", "query": "{ authors { id } }"}).encode()
        reader = service.client.do_get(flight.Ticket(ticket))
        taken, _ = listening.accept()
        with taken:
            taken.settimeout(30)
            while b"authors" not in taken.recv(65536):
                pass
            reader.cancel()
            assert taken.recv(1) == b""


def test_a_forwarded_query_that_is_cancelled_stops_the_database(
    base: Settings, database_url: str, tmp_path: Path
) -> None:
    path = shop.create_endless(database_url, tmp_path)
    for behind in running(base.model_copy(update={"schema_path": path})):
        for service in running(in_front(behind, path)):
            ticket = {"type": "GraphQLQuery", "query": "{ things { id needed } }"}
            reader = service.client.do_get(flight.Ticket(json.dumps(ticket).encode()))
            deadline = time.monotonic() + 20
            while not shop.running(database_url):
                assert time.monotonic() < deadline
            reader.cancel()
            shop.until_stopped(database_url)


def test_with_a_database_queries_are_not_forwarded(base: Settings) -> None:
    changed = base.model_copy(update={"graphql_url": "http://127.0.0.1:9/graphql"})
    for service in running(changed):
        assert service.table({"query": "{ authors { id } }"}).num_rows == 60
