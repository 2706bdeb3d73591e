"""The demo's compiled schema and its sample queries fit each other."""

from pathlib import Path

import pytest
from graphql import parse, validate

from flight_service.graphql.schema.compiled import Compiled
from flight_service.graphql.schema.decoding import read
from flight_service.graphql.schema.graphql_schema import Schema, build_schema
from local_stack.demo import COMPILED_SCHEMA, QUERIES, on_database
from local_stack.demo.lifecycle import STEPS


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return read(COMPILED_SCHEMA)


@pytest.fixture(scope="module")
def schema(compiled: Compiled) -> Schema:
    return build_schema(compiled)


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.graphql")), ids=lambda path: path.stem)
def test_a_sample_query_is_valid(schema: Schema, path: Path) -> None:
    assert validate(schema.graphql, parse(path.read_text())) == []


def test_every_query_but_single_forms_has_a_sample(compiled: Compiled) -> None:
    text = "\n".join(path.read_text() for path in QUERIES.glob("*.graphql"))
    without = {query.name for query in compiled.queries if f"{query.name}(" not in text}
    assert without == {"suppliers", "supplier", "customer", "part"}


@pytest.mark.parametrize("kind", STEPS)
def test_the_statuses_of_events_are_the_enums_of_the_schema(compiled: Compiled, kind: str) -> None:
    [values] = [enum.values for enum in compiled.enums if enum.name == f"{kind}Status"]
    assert tuple(getattr(value, "name", value) for value in values) == STEPS[kind]


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("postgresql://postgres@127.0.0.1:5432/postgres", "postgresql://postgres@127.0.0.1:5432/d"),
        ("postgresql://u:p%40@/a?host=/tmp/x&port=1", "postgresql://u:p%40@/d?host=/tmp/x&port=1"),
        ("postgresql:///a?host=/tmp/x", "postgresql:///d?host=/tmp/x"),
    ],
)
def test_the_database_in_a_url_is_replaced(url: str, other: str) -> None:
    assert on_database(url, "d") == other
