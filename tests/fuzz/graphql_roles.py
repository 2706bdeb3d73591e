"""GraphQL documents of principals who may not see everything, and cursors.

There are two databases that differ only in what the principal may not see. Every document has the
same outcome over both, or it reveals something.
"""

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from pydantic import SecretStr

from flight_service.authentication import Principal
from flight_service.graphql.errors import BadDocument, DatabaseFailed, GraphQLFailure
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import build_schema
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings
from tests.end_to_end.graphql_shop import AUTO, field
from tests.fuzz.documents import TEXTS, documents
from tests.fuzz.servers import INNER, database, execute
from tests.fuzz.target import Check, Target

ROWS = 6
HIDDEN: dict[str, Any] = {"requires_scope": "read:secret"}
MASKED: dict[str, Any] = {**HIDDEN, "on_deny": "mask"}
ANN = Principal("ann", "t1", claims={"sub": "ann", "tenant_id": "t1"})


def _query(name: str, of: str, source: str, **more: Any) -> dict[str, Any]:
    made = {"returns_list": True, "nullable": False, "auto_params": AUTO, "sql_source": source}
    return {"name": name, "return_type": of, **made, **more}


def _pages(name: str, of: str, source: str, column: str) -> dict[str, Any]:
    return _query(name, of, source, relay=True, relay_cursor_column=column)


COMPILED: dict[str, Any] = {
    "types": [
        {
            "name": "Person",
            "implements": ["Being"],
            "fields": [
                field("id", "Int", nullable=False),
                field("name", "String"),
                field("rank", "Int"),
                field("born", "Date"),
                field("at", "DateTime"),
                field("exact", "Decimal"),
                field("uuid", "UUID"),
                field("tags", {"List": "String"}),
                field("grid", {"List": {"List": "Int"}}),
                field("any", "JSON"),
                field("mood", {"Enum": "Mood"}),
                field("salary", "Int", **HIDDEN),
                field("email", "String", **MASKED),
                field("diary", {"List": "String"}, **MASKED),
                field("boss", {"Object": "Person"}),
                field("friends", {"List": {"Object": "Person"}}),
                field("card", {"Object": "Card"}),
            ],
        },
        {
            "name": "Robot",
            "implements": ["Being"],
            "fields": [
                field("id", "Int", nullable=False),
                field("name", "String", **HIDDEN),
                field("volts", "Int"),
            ],
        },
        {
            "name": "Card",
            "requires_role": "bank",
            "fields": [field("id", "Int", nullable=False), field("number", "String")],
        },
    ],
    "interfaces": [
        {"name": "Being", "fields": [field("id", "Int", nullable=False), field("name", "String")]}
    ],
    "unions": [{"name": "Agent", "member_types": ["Person", "Robot"]}],
    "enums": [{"name": "Mood", "values": ["CALM", "WILD"]}],
    "queries": [
        _query("people", "Person", "v_person"),
        _query("storedPeople", "Person", "tv_person"),
        _query("beings", "Being", "tv_being"),
        _query("agents", "Agent", "tv_being"),
        _query("cards", "Card", "tv_card"),
        _query("secrets", "Person", "tv_secret", requires_role="admin"),
        _query(
            "mine",
            "Person",
            "tv_owned",
            inject_params={"tenant_id": {"source": "jwt", "claim": "tenant_id"}},
        ),
        _pages("byRank", "Person", "tv_person", "rank"),
        _pages("byName", "Person", "v_person", "name"),
        _pages("byId", "Person", "tv_person", "id"),
    ],
}
SCHEMA = build_schema(decode(json.dumps(COMPILED).encode()))
SQL = """
DROP SCHEMA IF EXISTS {schema} CASCADE;
CREATE SCHEMA {schema};
SET search_path = {schema};
CREATE FUNCTION person(n int, secret int) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
SELECT jsonb_build_object('__typename', 'Person', 'id', n,
    'name', CASE WHEN n % 4 > 0 THEN 'name "' || n % 3 || '" %_' END,
    'rank', nullif(n % 3, 2), 'born', '2000-01-01'::date + n, 'at', '2026-01-01T00:00:00Z',
    'exact', n * 1.25, 'uuid', '00000000-0000-0000-0000-00000000000' || n % 10,
    'tags', jsonb_build_array('a', null, n::text), 'grid', jsonb_build_array(jsonb_build_array(n)),
    'any', jsonb_build_object('n', n), 'mood', CASE n % 2 WHEN 0 THEN 'CALM' ELSE 'WILD' END,
    'salary', secret, 'email', 'e' || secret, 'diary', jsonb_build_array('d' || secret),
    'card', jsonb_build_object('id', secret, 'number', 'c' || secret))
$$;
CREATE TABLE tv_person (id int PRIMARY KEY, rank int, data jsonb);
INSERT INTO tv_person SELECT n, nullif(n % 3, 2), person(n, (n * {secret}) % 7)
    || jsonb_build_object('boss', person(n + 1, n * {secret}),
        'friends', jsonb_build_array(person(n + 2, n + {secret}), null))
FROM generate_series(1, {rows}) AS n;
CREATE VIEW v_person AS SELECT id, rank, data->>'name' AS name, data FROM tv_person;
CREATE TABLE tv_being (id int PRIMARY KEY, data jsonb);
INSERT INTO tv_being SELECT n, CASE n % 2 WHEN 0 THEN person(n, (n * {secret}) % 5)
    ELSE jsonb_build_object('__typename', 'Robot', 'id', n, 'name', 'r' || n * {secret} % 5,
        'volts', n) END FROM generate_series(1, {rows}) AS n;
CREATE TABLE tv_card (id int PRIMARY KEY, data jsonb);
INSERT INTO tv_card SELECT n, jsonb_build_object('id', n, 'number', n * {secret})
FROM generate_series(1, {secret}) AS n;
CREATE TABLE tv_secret AS SELECT n AS id, person(n, {secret}) AS data
FROM generate_series(1, {secret}) AS n;
CREATE TABLE tv_owned (id int PRIMARY KEY, tenant_id text, data jsonb);
INSERT INTO tv_owned SELECT n, 't1', person(n, n * {secret}) FROM generate_series(1, 3) AS n;
INSERT INTO tv_owned SELECT n, 't2', person(n, n * {secret})
FROM generate_series(10, 10 + {secret}) AS n
"""


def outcome(graphql: GraphQL, text: str, principal: Principal) -> tuple[str, Any]:
    """What a principal gets: rows as Arrow and as JSON, or the error.

    Raises:
        AssertionError: it failed in a way that is not the document's fault, or the two disagree.
    """
    results = [_told(read, graphql, text, principal) for read in (_arrow, _json)]
    kinds = {kind for kind, _ in results}
    assert len(kinds) == 1, results
    return kinds.pop(), [value for _, value in results]


def _told(
    read: Callable[[GraphQL, str, Principal], Any], graphql: GraphQL, text: str, who: Principal
) -> tuple[str, Any]:
    try:
        return "rows", read(graphql, text, who)
    except GraphQLFailure as error:
        failure = error
    assert not isinstance(failure, BadDocument), failure
    assert type(failure) is not DatabaseFailed, failure
    assert not INNER.search(str(failure)), failure
    assert len(str(failure)) < 3000
    return type(failure).__name__, str(failure)


def _arrow(graphql: GraphQL, text: str, principal: Principal) -> Any:
    prepared = graphql.prepare(Request(text), principal)
    schema = graphql.schema(prepared)
    return pa.Table.from_batches(graphql.batches(prepared), schema).to_pylist()


def _json(graphql: GraphQL, text: str, principal: Principal) -> Any:
    prepared = graphql.prepare(Request(text), principal)
    return json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}")


@contextmanager
def vault_settings() -> Iterator[tuple[Settings, Settings]]:
    """Settings for the two databases."""
    with ExitStack() as stack:
        url = stack.enter_context(database())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = []
        for secret in (3, 5):
            schema = f"vault_{secret}"
            execute(url, SQL.format(schema=schema, secret=secret, rows=ROWS))
            compiled = {
                **COMPILED,
                "queries": [
                    {**one, "sql_source": f"{schema}.{one['sql_source']}"}
                    for one in COMPILED["queries"]
                ],
            }
            path = folder / f"{schema}.json"
            path.write_text(json.dumps(compiled))
            settings = Settings(
                database_url=SecretStr(url),
                schema_path=path,
                jwt_secret=SecretStr("x" * 32),
                graphql_timeout_seconds=20,
            )
            made.append(settings)
        yield made[0], made[1]


@contextmanager
def vaults() -> Iterator[tuple[GraphQL, GraphQL]]:
    """GraphQL over the two databases."""
    with (
        vault_settings() as (one, other),
        closing(GraphQL(one)) as first,
        closing(GraphQL(other)) as second,
    ):
        yield first, second


@contextmanager
def _documents() -> Iterator[Check]:
    with vaults() as (one, other):

        def check(text: str) -> None:
            found, expected = outcome(one, text, ANN), outcome(other, text, ANN)
            assert found == expected, f"{found}\nis not\n{expected}"

        yield check


PAGES = """query {{ page: {name}({given}) {{
    edges {{ cursor node {{ id }} }} pageInfo {{ hasNextPage hasPreviousPage }} }} }}"""
CURSOR_TEXTS = TEXTS | st.lists(st.none() | st.booleans() | TEXTS | st.integers(), max_size=3).map(
    json.dumps
)
CURSORS_MADE = st.one_of(
    CURSOR_TEXTS.map(lambda text: base64.b64encode(text.encode(errors="replace")).decode()),
    st.binary(max_size=30).map(lambda data: base64.b64encode(data).decode()),
    TEXTS,
    st.integers(0, ROWS - 1),
)
"""A cursor's text, or the number of the row whose cursor it is."""


@contextmanager
def _cursors() -> Iterator[Check]:
    with vaults() as (graphql, _):

        def page(name: str, given: str) -> Any:
            kind, found = outcome(graphql, PAGES.format(name=name, given=given), ANN)
            return found[1]["page"] if kind == "rows" else None

        def check(example: tuple[str, str, Any, int, str]) -> None:
            name, key, cursor, size, order = example
            ordered = "" if order == "" else f", orderBy: {order}"
            forward = key == "after"
            every = [one["node"]["id"] for one in page(name, f"first: 100{ordered}")["edges"]]
            assert sorted(every) == [*range(1, ROWS + 1)]
            given = cursor
            if isinstance(cursor, int):
                edges = page(name, f"first: 100{ordered}")["edges"]
                given = edges[cursor]["cursor"]
            found = page(
                name,
                f"{'first' if forward else 'last'}: {size}, {key}: {json.dumps(given)}{ordered}",
            )
            if isinstance(cursor, int):
                rest = every[cursor + 1 :] if forward else every[:cursor]
                expected = rest[:size] if forward else rest[max(0, len(rest) - size) :]
                assert [one["node"]["id"] for one in found["edges"]] == expected
            elif found is not None:
                ids = [one["node"]["id"] for one in found["edges"]]
                assert ids == [one for one in every if one in ids]

        yield check


DOCUMENTS = Target(documents(SCHEMA.graphql, TEXTS), _documents)
CURSORS = Target(
    st.tuples(
        st.sampled_from(["byRank", "byName", "byId"]),
        st.sampled_from(["after", "before"]),
        CURSORS_MADE,
        st.integers(0, ROWS + 1),
        st.sampled_from(["", "{rank: DESC}", "[{born: ASC}, {name: DESC}]", "{exact: DESC}"]),
    ),
    _cursors,
)
