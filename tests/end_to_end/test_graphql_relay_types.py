"""Relay types that FraiseQL's compiler generates, and `node`."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from graphql_shop import field, write_schema
from pydantic import SecretStr

from flight_service.authentication import ANYONE, Principal
from flight_service.graphql.errors import NotAuthorised, QueryRefused
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

SCHEMA = "graphql_nodes"
SQL = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.tv_user AS SELECT n AS pk_user, jsonb_build_object('id',
    '00000000-0000-4000-8000-00000000000' || n, 'pk_user', n, 'first_name', 'Ann ' || n,
    'tenant_id', 't' || n % 2) AS data FROM generate_series(1, 4) AS n;
CREATE TABLE {SCHEMA}.tv_item AS SELECT n AS pk_item, jsonb_build_object('id', n, 'size',
    CASE WHEN n % 4 > 0 THEN n % 3 END, 'made_at', '2026-01-01'::date + n % 2) AS data
    FROM generate_series(1, 23) AS n;
CREATE TABLE {SCHEMA}.tv_team AS SELECT 1 AS pk_team, jsonb_build_object('id',
    '10000000-0000-4000-8000-000000000001', 'team_size', 7) AS data
"""
ID = field("id", "ID", nullable=False)


def generated(of: str) -> list[dict[str, Any]]:
    """The types that the compiler adds for a relay type."""
    return [
        {
            "name": f"{of}Edge",
            "sql_source": "",
            "jsonb_column": "",
            "fields": [
                field("cursor", "String", nullable=False),
                field("node", {"Object": of}),
            ],
        },
        {
            "name": f"{of}Connection",
            "sql_source": "",
            "jsonb_column": "",
            "fields": [
                field("edges", {"List": {"Object": f"{of}Edge"}}, nullable=False),
                field("pageInfo", {"Object": "PageInfo"}, nullable=False),
                field("totalCount", "Int"),
            ],
        },
    ]


PAGE_INFO = {
    "name": "PageInfo",
    "sql_source": "",
    "jsonb_column": "",
    "fields": [
        field("hasNextPage", "Boolean", nullable=False),
        field("hasPreviousPage", "Boolean", nullable=False),
        field("startCursor", "String"),
        field("endCursor", "String"),
    ],
}


def relay_type(name: str, *fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "sql_source": "",
        "jsonb_column": "data",
        "relay": True,
        "implements": ["Node"],
        "fields": [ID, *fields],
    }


def pages(name: str, of: str, source: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "return_type": of,
        "returns_list": True,
        "sql_source": f"{SCHEMA}.{source}",
        "jsonb_column": "data",
        "relay": True,
        "relay_cursor_column": f"pk_{of.lower()}",
        "auto_params": {"has_where": True, "has_order_by": True},
        **more,
    }


INJECT = {"tenant_id": {"source": "jwt", "claim": "tenant"}}
COMPILED = {
    "types": [
        relay_type("User", field("firstName", "String", nullable=False)),
        relay_type("Team", field("teamSize", "Int")),
        relay_type("Secret"),
        relay_type("Item", field("size", "Int"), field("madeAt", "Date")),
        *generated("Item"),
        PAGE_INFO,
        *generated("User"),
        *generated("Team"),
    ],
    "interfaces": [{"name": "Node", "fields": [ID]}],
    "queries": [
        pages("users", "User", "tv_user", inject_params=INJECT),
        pages("items", "Item", "tv_item"),
        pages("teams", "Team", "tv_team"),
        pages("secrets", "Secret", "tv_team", requires_role="admin"),
    ],
}
TEXT = """query ($id: ID!) { node(id: $id) {
    id kind: __typename ... on User { firstName } ... on Team { teamSize } } }"""
ANN = "User:00000000-0000-4000-8000-000000000001"
TEAM = "Team:10000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def graphql(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphQL]:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for statement in SQL.split(";\n"):
            run.execute(statement)
        path = write_schema(tmp_path_factory.mktemp("nodes"), COMPILED)
        made = GraphQL(Settings(database_url=SecretStr(database_url), schema_path=path))
        yield made
        made.close()
        run.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def asked(
    graphql: GraphQL, text: str, principal: Principal = ANYONE, **variables: Any
) -> tuple[pa.Table, Any]:
    """The result as Arrow and as JSON."""
    prepared = graphql.prepare(Request(text, variables), principal)
    table = pa.Table.from_batches(graphql.batches(prepared), graphql.schema(prepared))
    return table, json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}")


def global_id(written: str) -> str:
    return base64.b64encode(written.encode()).decode()


def tenant(name: str) -> Principal:
    return Principal(claims={"tenant": name})


def test_relay_types_of_the_compiler_are_used(graphql: GraphQL) -> None:
    text = """{ teams { totalCount edges { cursor node { id teamSize } __typename }
        pageInfo { hasNextPage } } }"""
    _, shown = asked(graphql, text)
    [edge] = shown["teams"]["edges"]
    assert edge["__typename"] == "TeamEdge"
    assert edge["node"]["teamSize"] == 7
    assert base64.b64decode(edge["cursor"]) == b"1"
    assert shown["teams"]["totalCount"] == 1


def test_a_node_is_found_by_its_global_id(graphql: GraphQL) -> None:
    ann, shown = asked(graphql, TEXT, tenant("t1"), id=global_id(ANN))
    assert shown == {"node": {"id": ANN[5:], "kind": "User", "firstName": "Ann 1"}}
    team, shown = asked(graphql, TEXT, tenant("t1"), id=global_id(TEAM))
    assert shown == {"node": {"id": TEAM[5:], "kind": "Team", "teamSize": 7}}
    # The schema does not depend on the object.
    assert ann.schema == team.schema
    assert ann.to_pylist() == [
        {
            "__typename": "User",
            "id": ANN[5:],
            "kind": "User",
            "firstName": "Ann 1",
            "teamSize": None,
        }
    ]


def test_a_missing_node_is_null(graphql: GraphQL) -> None:
    missing = global_id("Team:10000000-0000-4000-8000-000000000009")
    table, shown = asked(graphql, TEXT, tenant("t1"), id=missing)
    assert shown == {"node": None}
    assert table.num_rows == 0


def test_a_node_has_the_access_rules_of_its_query(graphql: GraphQL) -> None:
    _, shown = asked(graphql, TEXT, tenant("t0"), id=global_id(ANN))
    assert shown == {"node": None}
    with pytest.raises(NotAuthorised, match="claim 'tenant'"):
        asked(graphql, TEXT, id=global_id(ANN))
    with pytest.raises(NotAuthorised, match="role 'admin'"):
        asked(graphql, "query ($id: ID!) { node(id: $id) { id } }", id=global_id(f"Secret:{TEAM}"))


@pytest.mark.parametrize("written", ["User", "User:", ":x", "Ghost:1", "PageInfo:1", ""])
def test_an_invalid_global_id_is_refused(graphql: GraphQL, written: str) -> None:
    with pytest.raises(QueryRefused, match="the ID of no object"):
        asked(graphql, TEXT, id=global_id(written))
    with pytest.raises(QueryRefused, match="the ID of no object"):
        asked(graphql, TEXT, id="no base64!")


@pytest.mark.parametrize(
    "order",
    [
        "",
        "orderBy: {size: ASC}",
        "orderBy: {size: DESC}",
        "orderBy: [{madeAt: DESC}, {size: ASC}]",
        'orderBy: [{field: "size", direction: DESC}, {field: "madeAt"}]',
    ],
)
@pytest.mark.parametrize("size", [1, 4, 23, 50])
@pytest.mark.parametrize("backward", [False, True])
def test_pages_in_any_order_have_all_rows(
    graphql: GraphQL, order: str, size: int, backward: bool
) -> None:
    whole = read_page(graphql, order, "first: 100")[0]
    assert sorted(whole, key=int) == [str(n) for n in range(1, 24)]
    found: list[str] = []
    place = ""
    while True:
        window = f"last: {size} {place}" if backward else f"first: {size} {place}"
        ids, info = read_page(graphql, order, window)
        found = ids + found if backward else found + ids
        if not info["hasPreviousPage" if backward else "hasNextPage"]:
            break
        name, cursor = ("before", "startCursor") if backward else ("after", "endCursor")
        place = f'{name}: "{info[cursor]}"'
    assert found == whole


def read_page(graphql: GraphQL, order: str, window: str) -> tuple[list[str], Any]:
    info = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    text = f"{{ items({window} {order}) {{ edges {{ node {{ id }} }} {info} }} }}"
    _, shown = asked(graphql, text)
    page = shown["items"]
    return [edge["node"]["id"] for edge in page["edges"]], page["pageInfo"]


def test_a_first_page_without_a_size_has_all_rows(graphql: GraphQL) -> None:
    """FraiseQL's first page would have twenty."""
    _, found = asked(graphql, "{ items { edges { node { id } } pageInfo { hasNextPage } } }")
    assert [int(one["node"]["id"]) for one in found["items"]["edges"]] == list(range(1, 24))
    assert found["items"]["pageInfo"] == {"hasNextPage": False}


def test_a_cursor_of_another_order_is_refused(graphql: GraphQL) -> None:
    _, info = read_page(graphql, "orderBy: {size: ASC}", "first: 2")
    with pytest.raises(QueryRefused, match="no cursor of this query"):
        read_page(graphql, "orderBy: [{size: ASC}, {madeAt: ASC}]", f'after: "{info["endCursor"]}"')
