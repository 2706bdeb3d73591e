"""GraphQL for clients, over Flight and HTTP, from one service and a real database.

All tests share one service and database, so the file is longer than others.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import graphql_shop as shop
import httpx
import pyarrow as pa
import pytest
from http_errors import message_of
from pyarrow import flight
from pydantic import SecretStr
from tokens import signed

from flight_service.addresses import Address
from flight_service.http import HttpServer, application
from flight_service.registry import registry
from flight_service.server import FlightServer
from fraiseql_assets.request_log.publisher import Recorded, RequestRecorder, Unrecorded
from fraiseql_assets.requests.record import RequestRecord
from fraiseql_assets.settings import Settings

SECRET = "a secret that is long enough for HS256"
AUTHORS = "{ authors(where: {age: {gte: 40}}, orderBy: {followers: ASC}) { id name followers } }"
GRAPHQL = "application/graphql-response+json"
ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Service:
    client: flight.FlightClient
    web: httpx.Client

    def table(self, ticket: dict[str, Any], **claims: Any) -> pa.Table:
        data = json.dumps({"type": "GraphQLQuery", **ticket}).encode()
        return self.client.do_get(flight.Ticket(data), bearing(**claims)).read_all()

    def json(self, query: str, **body: Any) -> Any:
        return self.web.post("/graphql", json={"query": query, **body}).json()


def bearing(**claims: Any) -> flight.FlightCallOptions:
    if not claims:
        return flight.FlightCallOptions()
    token = signed(SECRET, **claims)
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


@pytest.fixture(scope="module")
def served_settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    shop.create(database_url)
    path = shop.write_schema(tmp_path_factory.mktemp("schema"))
    return Settings(database_url=SecretStr(database_url), schema_path=path)


def running(settings: Settings, recorder: RequestRecorder | None = None) -> Iterator[Service]:
    served = registry(settings, recorder or Unrecorded())
    server = FlightServer(Address.parse("grpc://127.0.0.1:0", "", "grpc"), settings, served)
    bound = Address.parse("http://127.0.0.1:0", "", "http").listen()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    web = HttpServer(bound, application(served.routes, settings))
    try:
        with flight.connect(str(server.address)) as client, httpx.Client(base_url=url) as http:
            yield Service(client, http)
    finally:
        web.stop(5)
        server.stop(5)


@pytest.fixture(scope="module")
def service(served_settings: Settings) -> Iterator[Service]:
    yield from running(served_settings)


@pytest.fixture(scope="module")
def guarded(served_settings: Settings) -> Iterator[Service]:
    """A service that requires tokens."""
    yield from running(served_settings.model_copy(update={"jwt_secret": SecretStr(SECRET)}))


def test_a_ticket_returns_rows(service: Service) -> None:
    table = service.table({"query": AUTHORS, "variables": None, "operationName": None})
    assert table["followers"].to_pylist() == [n * 10**10 for n in range(40, 49) if n % 7]


def test_flight_info_has_the_schema_of_the_data(service: Service) -> None:
    ticket = json.dumps({"type": "GraphQLQuery", "query": AUTHORS}).encode()
    info = service.client.get_flight_info(flight.FlightDescriptor.for_command(ticket))
    assert info.schema == pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("name", pa.string(), nullable=False),
            pa.field("followers", pa.int64()),
        ]
    )
    assert service.client.do_get(info.endpoints[0].ticket).read_all().schema == info.schema


def test_json_and_arrow_over_http_have_the_content_of_flight(service: Service) -> None:
    rows = service.table({"query": AUTHORS}).to_pylist()
    assert service.json(AUTHORS) == {"data": {"authors": rows}}
    answer = service.web.post("/graphql", json={"query": AUTHORS}, headers={"accept": ARROW})
    assert answer.headers["content-type"] == ARROW
    assert pa.ipc.open_stream(answer.content).read_all().to_pylist() == rows


def test_a_client_without_headers_asks_for_arrow_by_a_parameter(service: Service) -> None:
    parameters = {"query": AUTHORS, "format": "arrow"}
    answer = service.web.get("/graphql", params=parameters, headers={"accept": "*/*"})
    assert answer.headers["content-type"] == ARROW
    rows = service.table({"query": AUTHORS}).to_pylist()
    assert pa.ipc.open_stream(answer.content).read_all().to_pylist() == rows
    as_json = service.web.get("/graphql?format=json", params=parameters | {"format": "json"})
    assert as_json.json() == {"data": {"authors": rows}}
    assert service.web.get("/graphql", params=parameters | {"format": "x"}).status_code == 400


NOT_UTF_8 = b'{"query": "{ authors { id } }", "operationName": "\x80"}'


def test_a_body_that_is_not_utf_8_is_a_bad_request(service: Service) -> None:
    headers = {"content-type": "application/json"}
    answer = service.web.post("/graphql", content=NOT_UTF_8, headers=headers)
    assert answer.status_code == 400
    assert "is no JSON" in answer.text


def test_an_action_that_is_not_utf_8_is_an_invalid_argument(service: Service) -> None:
    action = flight.Action("ExplainGraphQLQuery", NOT_UTF_8)
    with pytest.raises(pa.ArrowInvalid, match="is no JSON"):
        list(service.client.do_action(action))


def test_a_ticket_selects_one_of_several_fields(service: Service) -> None:
    query = "{ a: authors(limit: 2) { id } b: posts(limit: 3) { title } }"
    assert service.table({"query": query, "field": "b"}).num_rows == 3


def test_several_fields_are_one_row(service: Service) -> None:
    query = '{ a: authors(limit: 2) { mood } b: author(id: "x") { id } }'
    [row] = service.table({"query": query}).to_pylist()
    assert row["b"] is None
    assert len(row["a"]) == 2


def test_a_query_is_found_by_its_name(service: Service) -> None:
    short = json.dumps({"query": "authors", "variables": {"limit": 2}}).encode()
    table = service.client.do_get(flight.Ticket(short)).read_all()
    assert table.num_rows == 2
    assert table.column_names[:3] == ["id", "name", "age"]


def test_a_short_ticket_may_have_a_document(service: Service) -> None:
    short = json.dumps({"query": "{ authors(limit: 1) { id } }"}).encode()
    assert service.client.do_get(flight.Ticket(short)).read_all().num_rows == 1


def test_an_invalid_query_is_an_error_with_its_location(service: Service) -> None:
    with pytest.raises(pa.ArrowInvalid) as error:
        service.table({"query": "{ authors { nam } }"})
    assert "Cannot query field 'nam' on type 'Author'" in str(error.value)
    assert "(line 1, column 13)" in str(error.value)


def test_a_missing_role_is_forbidden(guarded: Service) -> None:
    query = {"query": "{ adminAuthors(limit: 1) { id } }"}
    with pytest.raises(flight.FlightUnauthorizedError, match="needs the role 'admin'"):
        guarded.table(query, sub="a", roles=["reader"])
    assert guarded.table(query, sub="a", roles=["admin"]).num_rows == 1


def test_a_claim_filters_the_rows(guarded: Service) -> None:
    query = {"query": "{ myAuthors { id } }"}
    assert guarded.table(query, sub="a", tenant_id="tenant1").num_rows == 20
    assert guarded.table(query, sub="a", tenant_id="nobody' OR true --").num_rows == 0
    with pytest.raises(flight.FlightUnauthorizedError, match="claim 'tenant_id'"):
        guarded.table(query, sub="a")


def test_http_requires_the_token_too(guarded: Service) -> None:
    answer = guarded.web.post("/graphql", json={"query": "{ __typename }"})
    assert answer.status_code == 401
    assert "authorization: Bearer" in answer.json()["errors"][0]["message"]


def test_actions_describe_the_schema(service: Service) -> None:
    def act(name: str) -> Any:
        [result] = service.client.do_action(flight.Action(name, b""))
        return json.loads(result.body.to_pybytes())

    versions = act("GetSchemaVersions")
    assert versions["count"] == len(versions["schemas"]) == 6
    assert set(versions["schemas"][0]) == {"view_name", "version", "created_at"}
    assert act("RefreshSchemaRegistry") == {
        "success": True,
        "message": f"Schema {versions['schemas'][0]['version'] + 1} is in use, with 12 queries.",
    }
    assert act("ClearCache")["success"] is True


def test_introspection_works_with_existing_clients(service: Service) -> None:
    from graphql import build_client_schema, get_introspection_query

    data = service.json(get_introspection_query())["data"]
    schema = build_client_schema(data)
    assert "SortDirection" in schema.type_map


def test_introspection_accepts_variables_and_may_be_combined_with_rows(service: Service) -> None:
    query = """query ($name: String!) {
        authors(limit: 1) { mood } __type(name: $name) { name fields { name } } }"""
    assert service.json(query, variables={"name": "Place"})["data"] == {
        "authors": [{"mood": "WILD"}],
        "__type": {"name": "Place", "fields": [{"name": "city"}, {"name": "zip"}]},
    }


@pytest.mark.parametrize("accept", [GRAPHQL, "application/json", "*/*", None])
def test_get_and_post_have_the_same_response(service: Service, accept: str | None) -> None:
    headers = {"accept": accept} if accept else {}
    query = "query Q($n: Int) { authors(limit: $n, orderBy: {id: ASC}) { id } }"
    got = service.web.get(
        "/graphql", params={"query": query, "variables": '{"n": 1}'}, headers=headers
    )
    posted = service.web.post(
        "/graphql", json={"query": query, "variables": {"n": 1}}, headers=headers
    )
    assert got.json() == posted.json()
    assert got.json() == {"data": {"authors": [{"id": "00000000-0000-0000-0000-000000000001"}]}}
    kind = GRAPHQL if accept == GRAPHQL else "application/json"
    assert got.headers["content-type"] == f"{kind}; charset=utf-8"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"json": {}}, 400),
        ({"json": []}, 400),
        ({"json": {"query": 1}}, 400),
        ({"json": {"query": "{ __typename }", "variables": []}}, 400),
        ({"json": {"query": "{ __typename }", "operationName": 1}}, 400),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
        ({"json": {"query": "{ __typename }"}, "headers": {"accept": "image/png"}}, 406),
        ({"json": {"query": "{"}, "headers": {"accept": GRAPHQL}}, 400),
        ({"json": {"query": "{ nope }"}, "headers": {"accept": GRAPHQL}}, 400),
        ({"json": {"query": "{ nope }"}, "headers": {"accept": "application/json"}}, 200),
    ],
)
def test_an_invalid_http_request_is_refused(
    service: Service, request_: dict[str, Any], status: int
) -> None:
    answer = service.web.post("/graphql", **request_)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]
    assert "data" not in answer.json()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_a_wrong_method_is_refused_with_those_that_are_allowed(
    service: Service, method: str
) -> None:
    answer = service.web.request(method, "/graphql")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert message_of(answer) == "Send one of GET, HEAD, POST."


def test_a_mutation_is_refused(service: Service) -> None:
    mutation = 'mutation { rename(id: "x") { id } }'
    assert service.json(mutation)["errors"][0]["code"] == "NOT_A_QUERY"
    answer = service.web.get("/graphql", params={"query": mutation})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_mutation_is_forwarded_to_the_fraiseql_server_with_the_token(
    guarded: Service, served_settings: Settings
) -> None:
    # The server is this service again: its response shows what it received.
    behind = f"{guarded.web.base_url}/graphql"
    settings = served_settings.model_copy(update={"graphql_url": behind})
    for service in running(settings):
        mutation = {"query": 'mutation { rename(id: "x") { id } }'}
        assert service.web.post("/graphql", json=mutation).status_code == 401
        token = signed(SECRET, sub="a")
        headers = {"authorization": f"Bearer {token}"}
        answer = service.web.post("/graphql", json=mutation, headers=headers)
        assert answer.json()["errors"][0]["code"] == "NOT_A_QUERY"


def test_a_principal_above_its_limit_over_http_is_answered_with_retry_later(
    served_settings: Settings, database_url: str, tmp_path: Path
) -> None:
    path = shop.create_endless(database_url, tmp_path)
    changes = {
        "schema_path": path,
        "jwt_secret": SecretStr(SECRET),
        "principal_streams": 1,
    }
    headers = {"authorization": f"Bearer {signed(SECRET, sub='ada')}"}
    asked = {"json": {"query": "{ things { id needed } }"}, "headers": headers}
    for service in running(served_settings.model_copy(update=changes)):
        with service.web.stream("POST", "/graphql", **asked) as answer:
            assert answer.status_code == 200
            refused = service.web.post(
                "/graphql", json={"query": "{ __typename }"}, headers=headers
            )
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert refused.json()["errors"][0]["code"] == "BUSY"
            other = {"authorization": f"Bearer {signed(SECRET, sub='bob')}"}
            assert service.web.post(
                "/graphql", json={"query": "{ __typename }"}, headers=other
            ).json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("accept", [GRAPHQL, ARROW])
def test_a_disconnected_http_client_cancels_the_statement(
    served_settings: Settings, database_url: str, tmp_path: Path, accept: str
) -> None:
    path = shop.create_endless(database_url, tmp_path)
    for service in running(served_settings.model_copy(update={"schema_path": path})):
        asked = {"json": {"query": "{ things { id needed } }"}, "headers": {"accept": accept}}
        with service.web.stream("POST", "/graphql", **asked) as answer:
            pieces = answer.iter_raw()
            assert next(pieces)
            assert shop.running(database_url) == 1
        shop.until_stopped(database_url)


def test_an_error_after_the_first_megabyte_follows_the_data(
    served_settings: Settings, database_url: str, tmp_path: Path
) -> None:
    path = shop.create_endless(database_url, tmp_path)
    changes = {"schema_path": path, "graphql_max_rows": 20_000}
    for service in running(served_settings.model_copy(update=changes)):
        answer = service.json("{ things { id needed } }")
        assert len(answer["data"]["things"]) == 20_000
        assert answer["errors"][0]["code"] == "LIMIT_EXCEEDED"


def test_a_changed_schema_file_is_used_and_a_broken_one_is_not(
    database_url: str, tmp_path: Path
) -> None:
    path = shop.write_schema(tmp_path)
    settings = Settings(database_url=SecretStr(database_url), schema_path=path)
    for service in running(settings):
        assert service.table({"query": "{ authors(limit: 1) { id } }"}).num_rows == 1
        path.write_text("{")
        [result] = service.client.do_action(flight.Action("RefreshSchemaRegistry", b""))
        answer = json.loads(result.body.to_pybytes())
        assert answer["success"] is False
        assert str(path) in answer["message"]
        assert service.table({"query": "{ authors(limit: 1) { id } }"}).num_rows == 1
        renamed = json.loads(json.dumps(shop.COMPILED).replace('"authors"', '"writers"'))
        shop.write_schema(tmp_path, renamed)
        [result] = service.client.do_action(flight.Action("RefreshSchemaRegistry", b""))
        assert json.loads(result.body.to_pybytes())["success"] is True
        assert service.table({"query": "{ writers(limit: 1) { id } }"}).num_rows == 1


def test_a_query_that_was_sent_once_can_be_requested_by_its_hash(service: Service) -> None:
    query = "{ authors(limit: 1) { mood } }"
    digest = hashlib.sha256(query.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    first = service.web.post("/graphql", json={"extensions": extensions})
    assert first.status_code == 200
    [error] = first.json()["errors"]
    assert error["message"] == "PersistedQueryNotFound"
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    expected = {"authors": [{"mood": "WILD"}]}
    assert service.json(query, extensions=extensions)["data"] == expected
    by_hash = service.web.post("/graphql", json={"extensions": extensions})
    assert by_hash.json()["data"] == expected
    over_get = service.web.get("/graphql", params={"extensions": json.dumps(extensions)})
    assert over_get.json()["data"] == expected


def test_a_query_with_the_wrong_hash_is_refused(service: Service) -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    answer = service.json("{ authors(limit: 1) { mood } }", extensions=extensions)
    assert "another SHA-256 hash" in answer["errors"][0]["message"]
    assert service.web.post("/graphql", json={"variables": {}}).status_code == 400


def read(service: Service, ticket: Any) -> pa.Table:
    data = ticket if isinstance(ticket, str) else json.dumps(ticket)
    return service.client.do_get(flight.Ticket(data.encode())).read_all()


@pytest.mark.parametrize("name", ["posts", "v_post", "graphql_tests.v_post"])
def test_a_query_can_be_requested_by_its_name_or_its_views(service: Service, name: str) -> None:
    found = read(service, {"query": name, "variables": {"limit": 2}})
    assert found.column_names == ["id", "title", "words", "price"]
    assert found.num_rows == 2
    assert read(service, name).num_rows == 200


def test_an_unknown_name_is_an_error_with_the_available_names(service: Service) -> None:
    with pytest.raises(pa.ArrowKeyError) as error:
        read(service, {"query": "ghosts"})
    for known in ("There is no 'ghosts'", "Queries: authors, ", "graphql_tests.v_post", "Assets: "):
        assert known in str(error.value)


def test_queries_and_their_views_are_listed(service: Service) -> None:
    listed = {
        b"/".join(one.descriptor.path).decode(): one for one in service.client.list_flights(b"p")
    }
    assert {"posts", "pets"} <= listed.keys()
    info = listed["posts"]
    assert info.schema.names == ["id", "title", "words", "price"]
    assert service.client.do_get(info.endpoints[0].ticket).read_all().num_rows == 200
    views = [one.descriptor.path for one in service.client.list_flights(b"graphql_tests.")]
    assert [b"graphql_tests.v_post"] in views
    # A query that requires a role, claim or argument is not listed for everybody.
    names = {one.descriptor.path[0] for one in service.client.list_flights()}
    assert names.isdisjoint({b"adminAuthors", b"myAuthors", b"author", b"secrets"})


class Requests:
    """Collects the recorded requests."""

    def __init__(self) -> None:
        self.kept: list[Recorded] = []

    def record(self, request: Recorded) -> None:
        self.kept.append(request)

    def all(self) -> list[RequestRecord]:
        made = [one() if callable(one) else one for one in self.kept]
        return [one for one in made if one]


def test_requests_over_both_transports_are_recorded(served_settings: Settings) -> None:
    recorder = Requests()
    guarded = served_settings.model_copy(update={"jwt_secret": SecretStr(SECRET)})
    claims = {"sub": "ada", "tenant_id": "acme"}
    token = signed(SECRET, **claims)
    for service in running(guarded, recorder):
        rows = service.table({"query": AUTHORS}, **claims).num_rows
        with pytest.raises(pa.ArrowInvalid):
            service.table({"query": "{ nothing }"}, **claims)
        headers = {"authorization": f"Bearer {token}"}
        service.web.post("/graphql", json={"query": AUTHORS}, headers=headers)
        service.web.post("/graphql", json={"query": "{ nothing }"}, headers=headers)
    recorded = recorder.all()
    assert {(one.user_id, one.tenant_id) for one in recorded} == {("ada", "acme")}
    assert sorted((one.transport, one.status, one.rows) for one in recorded) == [
        ("flight", "error", 0),
        ("flight", "ok", rows),
        ("http", "error", None),
        ("http", "ok", rows),
    ]
    codes = {error.code for one in recorded for error in one.errors}
    assert codes == {"GRAPHQL_VALIDATION_FAILED"}
