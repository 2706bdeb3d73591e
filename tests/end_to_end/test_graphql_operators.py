"""FraiseQL's operators, pages and counts, on documents and on columns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from graphql_shop import AUTO, field, write_schema
from pydantic import SecretStr

from flight_service.authentication import ANYONE
from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

SCHEMA = "graphql_operators"
FIRST = "0000000a-0000-4000-8000-00000000000b"
DOCUMENTS: list[dict[str, Any]] = [
    {
        "n": 1,
        "id": FIRST,
        "word_text": "Ünïcode 100%",
        "tags": ["a", "b"],
        "meta": {"k": [1, 2], "z": None},
        "lines": [{"sku": "x"}],
        "state": "OPEN",
    },
    {
        "n": 2,
        "id": "plain",
        "word_text": "under_score",
        "tags": [],
        "meta": [1, "two"],
        "lines": [{"sku": "x"}, {"sku": "y"}],
        "state": "CLOSED",
    },
    {"n": 3, "id": "PLAIN", "word_text": "ünïcode", "tags": ["b", None], "meta": 3, "lines": None},
    {"n": 4, "id": "4", "word_text": None, "tags": None, "meta": None, "state": None},
]
SQL = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.tv_doc (pk int, data jsonb);
CREATE TABLE {SCHEMA}.tv_col (data jsonb);
CREATE TABLE {SCHEMA}.ta_col (n int, id text, word_text text, tags text[], meta jsonb, lines jsonb,
    state text)
"""
COPIED = f"""INSERT INTO {SCHEMA}.ta_col SELECT (data->>'n')::int, data->>'id', data->>'word_text',
    CASE WHEN jsonb_typeof(data->'tags') = 'array'
        THEN ARRAY(SELECT jsonb_array_elements_text(data->'tags')) END,
    data->'meta', data->'lines', data->>'state' FROM {SCHEMA}.tv_doc"""
FIELDS = [
    field("n", "Int", nullable=False),
    field("id", "ID"),
    field("wordText", "String"),
    field("tags", {"List": "String"}),
    field("meta", "Json"),
    field("lines", {"List": {"Object": "Line"}}),
    field("state", {"Enum": "State"}),
]


def query(name: str, source: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "return_type": "Doc",
        "returns_list": True,
        "nullable": False,
        "sql_source": f"{SCHEMA}.{source}",
        "auto_params": AUTO,
        **more,
    }


COMPILED = {
    "types": [
        {"name": "Doc", "fields": FIELDS},
        {"name": "Line", "fields": [field("sku", "String")]},
    ],
    "enums": [{"name": "State", "values": [{"name": "OPEN"}, {"name": "CLOSED"}]}],
    "queries": [
        query("stored", "tv_doc"),
        query("flat", "tv_col"),
        query("pages", "tv_doc", relay=True, relay_cursor_column="pk"),
        query("storedCount", "tv_doc", returns_list=False, returns_count=True),
    ],
}


@pytest.fixture(scope="module")
def graphql(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphQL]:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for statement in SQL.split(";\n"):
            run.execute(statement)
        for document in DOCUMENTS:
            row = (document["n"], json.dumps(document))
            run.execute(f"INSERT INTO {SCHEMA}.tv_doc VALUES ($1, $2::jsonb)", row)
        run.execute(COPIED)
        path: Path = write_schema(tmp_path_factory.mktemp("operators"), COMPILED)
        made = GraphQL(Settings(database_url=SecretStr(database_url), schema_path=path))
        yield made
        made.close()
        run.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def table(graphql: GraphQL, text: str, variables: Any = None) -> pa.Table:
    prepared = graphql.prepare(Request(text, variables or {}), ANYONE)
    return pa.Table.from_batches(graphql.batches(prepared), graphql.schema(prepared))


def data(graphql: GraphQL, text: str) -> Any:
    prepared = graphql.prepare(Request(text), ANYONE)
    return json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}")


@pytest.mark.parametrize("source", ["stored", "flat"])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"wordText": {"is_not_null": True}}, [1, 2, 3]),
        ({"wordText": {"isNotNull": False}}, [4]),
        ({"wordText": {"is_null": False, "isnotnull": True}}, [1, 2, 3]),
        ({"wordText": {"eq": None}}, [4]),
        ({"wordText": {"contains": "100%"}}, [1]),
        ({"wordText": {"contains": "r_s"}}, [2]),
        ({"wordText": {"icontains": "ÜNÏ"}}, [1, 3]),
        ({"wordText": {"istartswith": "Ü"}}, [1, 3]),
        ({"wordText": {"startswith": "Ü"}}, [1]),
        ({"wordText": {"iendswith": "CODE"}}, [3]),
        ({"wordText": {"nlike": "%code%"}}, [2]),
        ({"wordText": {"nilike": "U%"}}, [1, 3]),
        ({"wordText": {"regex": "^[a-z_]+$"}}, [2]),
        ({"wordText": {"iregex": "CODE"}}, [1, 3]),
        ({"wordText": {"nregex": "code"}}, [2]),
        ({"wordText": {"not_matches": "o"}}, []),
        ({"wordText": {"niregex": "SCORE"}}, [1, 3]),
        ({"id": {"eq": FIRST.upper()}}, [1]),
        ({"id": {"eq": "plain"}}, [2]),
        ({"id": {"neq": FIRST.upper()}}, [2, 3, 4]),
        ({"id": {"in": [FIRST.upper(), "4", None]}}, [1, 4]),
        ({"id": {"nin": [FIRST.upper(), "4"]}}, [2, 3]),
        ({"id": {"nin": ["4", None]}}, []),
        ({"id": {"in": []}}, []),
        ({"id": {"nin": []}}, [1, 2, 3, 4]),
        ({"n": {"gt": "2"}}, [3, 4]),
        ({"n": {"ne": 2, "lte": 3}}, [1, 3]),
        ({"state": {"eq": "OPEN"}}, [1]),
        ({"state": {"nin": ["OPEN"]}}, [2]),
        ({"tags": {"array_contains": ["b"]}}, [1, 3]),
        ({"tags": {"array_contains": "a"}}, [1]),
        ({"tags": {"array_contained_by": ["a", "b", "c"]}}, [1, 2]),
        ({"tags": {"arrayOverlaps": ["a", "q"]}}, [1]),
        ({"tags": {"eq": ["a", "b"]}}, [1]),
        ({"tags": {"isnull": True}}, [4]),
        ({"tags": {"len_eq": 2}}, [1, 3]),
        ({"tags": {"len_neq": 2}}, [2]),
        ({"tags": {"lenGt": 0, "len_lt": 3}}, [1, 3]),
        ({"tags": {"len_gte": 0, "len_lte": 0}}, [2]),
        ({"lines": {"len_eq": 2}}, [2]),
        ({"lines": {"array_contains": [{"sku": "x"}]}}, [1, 2]),
        ({"meta": {"strictly_contains": {"k": [2]}}}, [1]),
        ({"meta": {"array_contains": [1]}}, [2]),
        ({"meta": {"eq": 3}}, [3]),
        ({"meta": {"in": [3, [1, "two"]]}}, [2, 3]),
        ({"meta": {"is_not_null": True}}, [1, 2, 3]),
        (
            {"OR": [{"n": {"eq": 1}}, {"AND": [{"n": {"gt": 2}}, {"NOT": {"n": {"eq": 3}}}]}]},
            [1, 4],
        ),
    ],
)
def test_an_operator_matches_the_expected_rows(
    graphql: GraphQL, source: str, where: dict[str, Any], expected: list[int]
) -> None:
    text = f"query ($w: JSON) {{ {source}(where: $w, orderBy: {{n: ASC}}) {{ n }} }}"
    assert table(graphql, text, {"w": where})["n"].to_pylist() == expected


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"wordText": {"regex": "x" * 1001}}, "1,000 bytes"),
        ({"wordText": {"sounds_like": "x"}}, "sounds_like"),
    ],
)
def test_an_invalid_comparison_is_refused(graphql: GraphQL, where: Any, told: str) -> None:
    with pytest.raises(QueryRefused) as error:
        table(graphql, "query ($w: JSON) { stored(where: $w) { n } }", {"w": where})
    assert told in str(error.value)


def test_a_page_counts_the_rows_of_all_pages(graphql: GraphQL) -> None:
    text = """{ pages(first: 1, where: {n: {gt: 1}}) {
        totalCount edges { cursor node { n } } pageInfo { endCursor } } }"""
    page = data(graphql, text)["pages"]
    assert page["totalCount"] == 3
    assert [edge["node"]["n"] for edge in page["edges"]] == [2]
    after = page["pageInfo"]["endCursor"]
    text = text.replace("first: 1", f'first: 5, after: "{after}"')
    page = data(graphql, text)["pages"]
    assert page["totalCount"] == 3
    assert [edge["node"]["n"] for edge in page["edges"]] == [3, 4]
    found = table(graphql, text)
    assert found.schema.field("totalCount").type == pa.int64()
    assert found["totalCount"].to_pylist() == [3]
    assert data(graphql, "{ pages(where: {n: {gt: 9}}) { totalCount } }")["pages"] == {
        "totalCount": 0
    }


def test_a_count_query_is_a_number(graphql: GraphQL) -> None:
    text = "{ n: storedCount(where: {n: {gt: 1}}) stored(limit: 1) { n } }"
    assert data(graphql, text)["n"] == 3
    assert table(graphql, text)["n"].to_pylist() == [3]
    alone = table(graphql, "{ storedCount }")
    assert alone.schema == pa.schema([pa.field("storedCount", pa.int64(), nullable=False)])
    assert alone.to_pylist() == [{"storedCount": 4}]
