"""Queries with the answers that a real FraiseQL gave, over HTTP's JSON and over Arrow.

`tests/data/fraiseql/README.md` says how they were recorded. `differences.json` has the queries that
are answered otherwise on purpose, each with its reason.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pytest
from pydantic import SecretStr

from flight_service.authentication import Principal
from flight_service.graphql.errors import GraphQLFailure
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

FOLDER = Path(__file__).parents[1] / "data/fraiseql"
QUERIES: dict[str, Any] = json.loads((FOLDER / "queries.json").read_text())
ANSWERS: dict[str, Any] = json.loads((FOLDER / "answers.json").read_text())
DIFFERENCES: dict[str, Any] = json.loads((FOLDER / "differences.json").read_text())
INTROSPECTION = [name for name, case in QUERIES.items() if "__" in case["query"][:12]]


@pytest.fixture(scope="module")
def graphql(database_url: str) -> Iterator[GraphQL]:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute("CREATE DATABASE fraiseql_answers")
    url = f"{database_url.rpartition('/')[0]}/fraiseql_answers"
    with postgresql.connect(url, autocommit=True) as one, one.cursor() as run:
        for statement in (FOLDER / "books.sql").read_text().strip().removesuffix(";").split(";\n"):
            run.execute(statement)
    path = FOLDER / "schema.compiled.json"
    made = GraphQL(Settings(database_url=SecretStr(url), schema_path=path))
    yield made
    made.close()
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute("DROP DATABASE fraiseql_answers WITH (FORCE)")


def answer(graphql: GraphQL, case: dict[str, Any]) -> dict[str, Any]:
    """What the service answers, as `record.py` writes it."""
    claims = {"sub": "nobody", **case.get("claims", {})}
    principal = Principal(
        subject=claims["sub"],
        roles=frozenset(claims.get("roles", ())),
        scopes=frozenset(claims.get("scope", "").split()),
        claims=claims,
    )
    try:
        prepared = graphql.prepare(Request(case["query"], case.get("variables") or {}), principal)
        return {"data": json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}")}
    except GraphQLFailure as failure:
        return {"errors": [failure.message]}


@pytest.mark.parametrize("name", [name for name in QUERIES if name not in INTROSPECTION])
def test_a_query_has_the_answer_of_fraiseql(graphql: GraphQL, name: str) -> None:
    given = answer(graphql, QUERIES[name])
    expected = DIFFERENCES[name]["answer"] if name in DIFFERENCES else ANSWERS[name]
    if "errors" in expected:
        # The messages are ours.
        assert "errors" in given
    else:
        assert given == expected


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_listed_difference_is_different(name: str) -> None:
    different, real = DIFFERENCES[name]["answer"], ANSWERS[name]
    assert different != real
    assert not ("errors" in different and "errors" in real)


@pytest.mark.parametrize(
    "document",
    [
        "{ books(where: {state: {eq: NOTHING}}) { title } }",
        '{ books(where: {state: {eq: "NOTHING"}}) { title } }',
        "{ books(where: {title: {eq: 1}}) { title } }",
        '{ books(where: {title: {nearest: "x"}}) { title } }',
        '{ books(where: {title: {cosine_distance: "x"}}) { title } }',
        '{ books(where: {title: {descendant_of: "x"}}) { title } }',
        '{ books(where: {title: {plain_query: "x"}}) { title } }',
        "{ booksAggregate { count } }",
        "{ books { title ... @defer { id } } }",
        "{ books @stream { title } }",
    ],
)
def test_what_only_fraiseql_answers_is_an_error(graphql: GraphQL, document: str) -> None:
    assert "errors" in answer(graphql, {"query": document})


def test_the_items_of_a_list_are_never_null(graphql: GraphQL) -> None:
    kinds = "kind ofType { kind ofType { kind } }"
    case = {"query": f"{{ __schema {{ queryType {{ fields {{ name type {{ {kinds} }} }} }} }} }}"}
    fields = answer(graphql, case)["data"]["__schema"]["queryType"]["fields"]
    [books] = [one["type"] for one in fields if one["name"] == "books"]
    item = {"kind": "LIST", "ofType": {"kind": "NON_NULL"}}
    assert books == {"kind": "NON_NULL", "ofType": item}


@pytest.mark.parametrize("name", INTROSPECTION)
def test_introspection_shows_everything_that_fraiseql_shows(graphql: GraphQL, name: str) -> None:
    """FraiseQL leaves out what is null; this service shows more operators and arguments."""
    missing = list(lacking(answer(graphql, QUERIES[name])["data"], ANSWERS[name]["data"], name))
    assert missing == []


def lacking(given: Any, expected: Any, path: str) -> Iterator[str]:
    """The paths where the given value lacks the expected one; its lists may be longer."""
    if isinstance(expected, dict):
        for key, one in expected.items():
            # Named after the type here, see docs/graphql.md.
            if key != "name" or not str(one).endswith("OrderByInput"):
                yield from lacking((given or {}).get(key), one, f"{path}.{key}")
    elif isinstance(expected, list):
        named = {one.get("name"): one for one in given or []}
        for one in expected:
            yield from lacking(named.get(one["name"]), one, f"{path}[{one['name']}]")
    elif given != expected:
        yield f"{path}: {given!r} instead of {expected!r}"


def test_arrow_and_json_have_the_same_rows(graphql: GraphQL) -> None:
    case = QUERIES["nested objects"]
    principal = Principal(subject="nobody", claims={"sub": "nobody"})
    prepared = graphql.prepare(Request(case["query"]), principal)
    rows = [row for batch in graphql.batches(prepared) for row in batch.to_pylist()]
    assert rows == ANSWERS["nested objects"]["data"]["books"]
