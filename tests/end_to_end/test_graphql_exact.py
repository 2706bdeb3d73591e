"""Pages that lose no row, lists of the right depth, and errors that name their cause."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from graphql_shop import AUTO, field, write_schema
from pyarrow import flight
from pydantic import SecretStr
from tokens import signed

from flight_service.addresses import Address
from flight_service.authentication import ANYONE
from flight_service.graphql.errors import BadDocument, QueryRefused
from flight_service.graphql.service import GraphQL, Request
from flight_service.registry import registry
from flight_service.server import FlightServer
from fraiseql_assets.settings import Settings

SCHEMA = "graphql_exact"
SECRET = "a secret that is long enough for HS256"
RANKS = [0, 1, 1, None, 1, None, 7, -3]
SQL = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.tv_item (pk_item int PRIMARY KEY, id uuid NOT NULL, rank int, data jsonb);
INSERT INTO {SCHEMA}.tv_item
SELECT n, ('00000000-0000-0000-0000-' || lpad((n * 7 % 10)::text, 12, '0'))::uuid, rank,
    jsonb_build_object('id', ('00000000-0000-0000-0000-' || lpad((n * 7 % 10)::text, 12, '0')),
        'rank', rank, 'name', CASE WHEN rank > 0 THEN 'name ' || rank END)
FROM unnest(ARRAY{RANKS}::int[]) WITH ORDINALITY AS given (rank, n);
CREATE TABLE {SCHEMA}.ta_grid (id int PRIMARY KEY, flat int[], deep int[]);
INSERT INTO {SCHEMA}.ta_grid VALUES
    (1, '{{1,2}}', '{{{{1,2}},{{3,4}}}}'), (2, '{{}}', NULL), (3, NULL, '{{{{5}},{{6}}}}');
CREATE TABLE {SCHEMA}.ta_wrong (id int PRIMARY KEY, flat int[], deep int[]);
INSERT INTO {SCHEMA}.ta_wrong VALUES (1, '{{1}}', NULL), (2, '{{{{1,2}},{{3,4}}}}', NULL);
CREATE TABLE {SCHEMA}.tv_square (id int PRIMARY KEY, flat int[][], data jsonb);
INSERT INTO {SCHEMA}.tv_square VALUES (1, '{{{{1,2}},{{3,4}}}}', '{{"id": 1, "flat": [1, 2]}}');
CREATE TABLE {SCHEMA}.ta_odd (id int PRIMARY KEY, whole text, note jsonb, flags int[], raws text[]);
INSERT INTO {SCHEMA}.ta_odd VALUES
    (1, '7', '"x"', '{{0,1}}', '{{1,NULL}}'), (2, 'seven', '[1]', '{{0,3}}', '{{}}');
CREATE VIEW {SCHEMA}.v_view AS SELECT id, jsonb_build_object('id', id, 'whole', whole,
    'note', note, 'flags', flags, 'raws', raws) AS data FROM {SCHEMA}.ta_odd;
CREATE TABLE {SCHEMA}.tv_stored AS SELECT id, data FROM {SCHEMA}.v_view;
CREATE TABLE {SCHEMA}.tv_pet (id int PRIMARY KEY, data jsonb);
INSERT INTO {SCHEMA}.tv_pet VALUES
    (1, '{{"__typename": "Dog", "id": 1}}'), (2, '{{"__typename": "Wolf", "id": 2}}')
""".replace("None", "NULL")


def query(name: str, of: str, source: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "return_type": of,
        "returns_list": True,
        "nullable": False,
        "sql_source": f"{SCHEMA}.{source}",
        "auto_params": AUTO,
        **more,
    }


COMPILED = {
    "types": [
        {
            "name": "Item",
            "fields": [
                field("id", "ID", nullable=False),
                field("rank", "Int"),
                field("name", "String"),
                field("exact", "Decimal"),
                field("at", "DateTime"),
                field("any", "JSON"),
            ],
        },
        {
            "name": "Grid",
            "fields": [
                field("id", "Int", nullable=False),
                field("flat", {"List": "Int"}),
                field("deep", {"List": {"List": "Int"}}),
            ],
        },
        {
            "name": "Odd",
            "fields": [
                field("id", "Int", nullable=False),
                field("whole", "Int"),
                field("note", "String"),
                field("flags", {"List": "Boolean"}),
                field("raws", {"List": "Json"}),
            ],
        },
        {"name": "Dog", "fields": [field("id", "Int")]},
        {"name": "Cat", "fields": [field("id", "Int")]},
    ],
    "unions": [{"name": "Pet", "member_types": ["Dog", "Cat"]}],
    "queries": [
        query("byRank", "Item", "tv_item", relay=True, relay_cursor_column="rank"),
        query("byName", "Item", "tv_item", relay=True, relay_cursor_column="name"),
        query("byKey", "Item", "tv_item", relay=True, relay_cursor_column="pk_item"),
        query("items", "Item", "tv_item"),
        query("secrets", "Item", "tv_item", requires_role="admin"),
        query("grids", "Grid", "ta_grid", jsonb_column=""),
        query("wrongGrids", "Grid", "ta_wrong", jsonb_column=""),
        query("squares", "Grid", "tv_square"),
        query("odd", "Odd", "ta_odd", jsonb_column=""),
        query("view", "Odd", "v_view"),
        query("stored", "Odd", "tv_stored"),
        query("pets", "Pet", "tv_pet"),
    ],
}


@pytest.fixture(scope="module")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for statement in SQL.split(";\n"):
            if statement.strip():
                run.execute(statement)
    path = write_schema(tmp_path_factory.mktemp("schema"), COMPILED)
    return Settings(database_url=SecretStr(database_url), schema_path=path)


@pytest.fixture(scope="module")
def graphql(settings: Settings) -> Iterator[GraphQL]:
    made = GraphQL(settings)
    yield made
    made.close()


def ask(graphql: GraphQL, text: str, **variables: Any) -> Any:
    prepared = graphql.prepare(Request(text, variables), ANYONE)
    return json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}")


FORWARD = """query ($n: Int, $at: String) { page: %s(first: $n, after: $at) {
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
BACKWARD = FORWARD.replace("first", "last").replace("after", "before")


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("name", ["byRank", "byName", "byKey"])
def test_pages_have_every_row_once_in_both_directions(
    graphql: GraphQL, name: str, size: int
) -> None:
    def walk(text: str, more: str, edge: str) -> list[list[str]]:
        pages: list[list[str]] = []
        at: str | None = None
        while len(pages) <= len(RANKS):
            page = ask(graphql, text % name, n=size, at=at)["page"]
            pages.append([one["node"]["id"] for one in page["edges"]])
            at = page["pageInfo"][edge]
            if not page["pageInfo"][more]:
                return pages
        raise AssertionError("the pages do not end")

    forward = [one for page in walk(FORWARD, "hasNextPage", "endCursor") for one in page]
    backward = walk(BACKWARD, "hasPreviousPage", "startCursor")
    assert len(set(forward)) == len(forward) == len(RANKS)
    assert [one for page in reversed(backward) for one in page] == forward


def test_nulls_come_last_and_ties_are_ordered_by_id(graphql: GraphQL) -> None:
    text = "{ byRank(first: 9) { edges { node { rank id } } } }"
    rows = [one["node"] for one in ask(graphql, text)["byRank"]["edges"]]
    assert [row["rank"] for row in rows] == [-3, 0, 1, 1, 1, 7, None, None]
    ones = [row["id"] for row in rows if row["rank"] == 1]
    assert ones == sorted(ones)


def test_lists_have_the_depth_that_the_schema_says(graphql: GraphQL) -> None:
    assert ask(graphql, "{ grids(orderBy: {id: ASC}) { flat deep } }")["grids"] == [
        {"flat": [1, 2], "deep": [[1, 2], [3, 4]]},
        {"flat": [], "deep": None},
        {"flat": None, "deep": [[5], [6]]},
    ]
    prepared = graphql.prepare(Request("{ grids { flat deep } }"), ANYONE)
    assert graphql.schema(prepared).field("deep").type == pa.list_(
        pa.field("item", pa.list_(pa.field("item", pa.int32())))
    )


def test_an_array_with_too_many_dimensions_is_an_error_with_its_path(graphql: GraphQL) -> None:
    with pytest.raises(BadDocument, match="several dimensions") as wrong:
        ask(graphql, "{ wrongGrids(orderBy: {id: ASC}) { flat } }")
    assert list(wrong.value.path or ()) == ["wrongGrids", 1, "flat"]


@pytest.mark.parametrize("source", ["odd", "view", "stored"])
@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("whole", 7, ["whole"]),
        ("note", "x", ["note"]),
        ("flags", [False, True], ["flags", 1]),
    ],
)
def test_a_column_of_another_type_is_read_as_a_document_is(
    graphql: GraphQL, source: str, name: str, value: Any, path: list[Any]
) -> None:
    text = f"query ($id: Int) {{ rows: {source}(where: {{id: {{eq: $id}}}}) {{ {name} }} }}"
    assert ask(graphql, text, id=1)["rows"] == [{name: value}]
    with pytest.raises(BadDocument, match="as the schema says it is") as wrong:
        ask(graphql, text, id=2)
    assert list(wrong.value.path or ()) == ["rows", 0, *path]


@pytest.mark.parametrize("source", ["view", "stored"])
def test_an_array_of_texts_is_not_a_list_of_documents(graphql: GraphQL, source: str) -> None:
    text = f"{{ rows: {source}(orderBy: {{id: ASC}}) {{ raws }} }}"
    assert ask(graphql, text)["rows"] == [{"raws": ["1", None]}, {"raws": []}]


@pytest.mark.parametrize("text", ["{ pets { __typename } }", "{ pets { ... on Dog { id } } }"])
def test_an_unknown_typename_is_an_error_with_its_path(graphql: GraphQL, text: str) -> None:
    with pytest.raises(BadDocument, match=r"'Wolf' is none of its types, Cat, Dog") as wrong:
        ask(graphql, text)
    assert list(wrong.value.path or ()) == ["pets", 1, "__typename"]


@pytest.mark.parametrize(
    "text",
    [
        '{ byKey(after: "eA==") { edges { cursor } } }',
        '{ byRank(after: "eA==") { edges { cursor } } }',
        '{ byRank(after: "WyJ4IiwgIngiXQ==") { edges { cursor } } }',
        r'{ items(where: {name: {like: "\\"}}) { id } }',
        '{ items(where: {name: {matches: "("}}) { id } }',
        r'{ items(where: {name: {in: ["a", "\u0000"]}}) { id } }',
        r'{ items(where: {any: {eq: {a: "\u0000"}}}) { id } }',
        '{ items(where: {exact: {gt: "1e200000"}}) { id } }',
        '{ items(where: {exact: {in: ["1", "1e200000"]}}) { id } }',
        '{ items(where: {at: {gt: "2026-01-01T99"}}) { id } }',
        '{ items(where: {at: {in: ["2026-01-01T99"]}}) { id } }',
    ],
)
def test_an_invalid_value_of_a_client_is_an_invalid_argument(graphql: GraphQL, text: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        ask(graphql, text)
    assert len(str(refused.value)) < 500


def test_long_client_text_is_truncated_in_messages(graphql: GraphQL) -> None:
    with pytest.raises(QueryRefused) as refused:
        ask(graphql, f'{{ byRank(after: "{"x" * 16_000}") {{ edges {{ cursor }} }} }}')
    assert len(str(refused.value)) < 2000


@pytest.fixture(scope="module")
def guarded(settings: Settings) -> Iterator[flight.FlightClient]:
    changed = settings.model_copy(update={"jwt_secret": SecretStr(SECRET)})
    yield from serving(changed)


def serving(settings: Settings) -> Iterator[flight.FlightClient]:
    address = Address.parse("grpc://127.0.0.1:0", "", "grpc")
    server = FlightServer(address, settings, registry(settings))
    try:
        with flight.connect(str(server.address)) as client:
            yield client
    finally:
        server.stop(5)


def with_claims(**claims: Any) -> flight.FlightCallOptions:
    token = signed(SECRET, **{"sub": "a", **claims})
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


def described(text: str) -> flight.FlightDescriptor:
    ticket = {"type": "GraphQLQuery", "query": text}
    return flight.FlightDescriptor.for_command(json.dumps(ticket).encode())


def test_errors_of_get_schema_are_one_sentence(guarded: flight.FlightClient) -> None:
    with pytest.raises(pa.ArrowException) as error:
        guarded.get_schema(described("{ secrets { id } }"), with_claims())
    assert "secrets needs the role 'admin'" in str(error.value)
    assert "Traceback" not in str(error.value)
    assert ".py" not in str(error.value)


def test_get_schema_without_a_database_is_one_sentence(settings: Settings) -> None:
    gone = settings.model_copy(
        update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:1/none")}
    )
    for client in serving(gone):
        with pytest.raises(pa.ArrowException) as error:
            client.get_schema(described("{ items { id } }"))
        assert "FRAISEQL_DATABASE_URL" in str(error.value)
        assert "Traceback" not in str(error.value)


@pytest.mark.parametrize("name", ["RefreshSchemaRegistry", "ClearCache"])
def test_actions_that_change_the_service_require_the_admin_scope(
    guarded: flight.FlightClient, name: str
) -> None:
    with pytest.raises(flight.FlightUnauthorizedError, match="scope 'admin'"):
        list(guarded.do_action(flight.Action(name, b""), with_claims()))
    assert list(guarded.do_action(flight.Action(name, b""), with_claims(scope="admin")))


def test_schema_versions_list_only_relations_that_the_principal_may_read(
    guarded: flight.FlightClient,
) -> None:
    def names(**claims: Any) -> set[str]:
        action = flight.Action("GetSchemaVersions", b"")
        [result] = guarded.do_action(action, with_claims(**claims))
        found = json.loads(result.body.to_pybytes())
        return {one["view_name"] for one in found["schemas"]}

    assert names() == names(roles=["admin"])
    assert names()


def test_a_claim_with_invalid_unicode_is_unauthenticated(guarded: flight.FlightClient) -> None:
    for text in ("\ud800", "\0"):
        with pytest.raises(flight.FlightUnauthenticatedError):
            guarded.get_flight_info(described("{ items { id } }"), with_claims(tenant=text))


def test_a_schema_with_pages_of_ambiguous_rows_is_refused(
    tmp_path: Path, settings: Settings
) -> None:
    nameless = {"name": "Bare", "fields": [field("rank", "Int")]}
    pages = query("pages", "Bare", "tv_item", relay=True, relay_cursor_column="rank")
    path = write_schema(tmp_path, {"types": [nameless], "queries": [pages]})
    made = GraphQL(settings.model_copy(update={"schema_path": path}))
    assert made.registry.refresh() == (
        False,
        "The compiled schema cannot be used: " + (made.registry.problem or "").partition(": ")[2],
    )
    assert "$.queries[0].relay_cursor_column" in (made.registry.problem or "")
    made.close()


def test_a_column_with_more_dimensions_than_its_list_is_not_read(graphql: GraphQL) -> None:
    assert ask(graphql, "{ squares { id flat } }") == {"squares": [{"id": 1, "flat": [1, 2]}]}
