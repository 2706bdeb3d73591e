"""Limits on what one request may ask for and on what is remembered of it."""

import json
from typing import Any

import pytest

from flight_service.authentication import ANYONE
from flight_service.errors import LONGEST as LONGEST_SENTENCE
from flight_service.errors import InvalidRequest, ServiceError, as_flight_error
from flight_service.graphql import errors
from flight_service.graphql.errors import GraphQLFailure, LimitExceeded, QueryRefused
from flight_service.graphql.planning.compile import compile_plan
from flight_service.graphql.planning.plan import RootStatement
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.postgres.catalogue import ColumnInfo
from flight_service.graphql.request.cache import ByteCache
from flight_service.graphql.request.operation import read_operation
from flight_service.graphql.request.selection import Limits
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import Schema, build_schema
from flight_service.graphql.sources.source import Source, Sources

STORED = Source(
    "tv_x", "documents", '"tv_x"', {}, {"data": ColumnInfo("data", "jsonb")}, "data", builds=False
)


@pytest.fixture(scope="module")
def schema() -> Schema:
    fields = [
        {"name": "name", "field_type": "String", "nullable": True},
        {"name": "size", "field_type": "Int", "nullable": True},
        {"name": "any", "field_type": "JSON", "nullable": True},
    ]
    auto = {"has_where": True, "has_order_by": True}
    query = {
        "name": "things",
        "return_type": "Thing",
        "returns_list": True,
        "sql_source": "tv_x",
        "auto_params": auto,
    }
    compiled = {"types": [{"name": "Thing", "fields": fields}], "queries": [query]}
    return build_schema(decode(json.dumps(compiled).encode()))


def plan(schema: Schema, where: Any, conditions: int = 100) -> RootStatement:
    limits = Limits(10, 1000, 10_000, conditions)
    text = "query ($where: ThingWhereInput) { things(where: $where) { name } }"
    operation = read_operation(schema, text, {"where": where}, None, limits)
    known = Sources({"things": (STORED,)}, {"things": ()}, {})
    [root] = compile_plan(schema, lambda _: known, operation, ANYONE, RowLimit(1000)).statements
    return root


def test_more_conditions_than_allowed_are_refused(schema: Schema) -> None:
    many = [{"name": {"startswith": str(n)}} for n in range(101)]
    with pytest.raises(LimitExceeded, match="FRAISEQL_GRAPHQL_MAX_CONDITIONS"):
        plan(schema, {"_or": many})
    assert len(plan(schema, {"_or": many[1:]}).values) == 100


def test_conditions_that_are_nested_too_deeply_are_refused(schema: Schema) -> None:
    where: dict[str, Any] = {"name": {"eq": "x"}}
    for _ in range(40):
        where = {"_not": where}
    with pytest.raises(LimitExceeded, match="FRAISEQL_GRAPHQL_MAX_DEPTH"):
        plan(schema, where)


def test_a_list_of_values_is_one_condition(schema: Schema) -> None:
    assert len(plan(schema, {"size": {"in": list(range(5000))}}).values) == 1


def test_alternatives_of_one_field_are_bound_as_one_array(schema: Schema) -> None:
    found = plan(schema, {"_or": [{"size": {"eq": n}} for n in range(50)]})
    assert found.values == (json.dumps([str(n) for n in range(50)], separators=(",", ":")),)
    assert "= ANY (" in found.sql
    mixed = [{"size": {"eq": 1}}, {"name": {"eq": "a"}}, {"size": {"eq": 2}}, {"any": {"eq": 1}}]
    found = plan(schema, {"_or": mixed})
    assert len(found.values) == 3
    assert found.sql.count(" OR ") == 2


def test_null_among_alternatives_stays_a_condition_of_its_own(schema: Schema) -> None:
    found = plan(schema, {"_or": [{"size": {"eq": None}}, {"size": {"eq": 1}}]})
    assert "IS NULL" in found.sql


def test_a_cache_is_bounded_in_bytes() -> None:
    cache: ByteCache[int] = ByteCache(1000)
    for n in range(100):
        cache.put(n, n, 100)
        assert cache.bytes <= 1000
    assert len(cache) == 10
    assert cache.get(99) == 99
    assert cache.get(0) is None
    cache.put("large", 1, 500)
    assert cache.get("large") is None
    cache.put(99, 1, 50)
    assert cache.bytes == 950
    assert cache.clear() == 10
    assert cache.bytes == 0


@pytest.mark.parametrize(
    "failure",
    [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, ServiceError) and one is not ServiceError
    ],
)
def test_every_error_has_a_status_for_both_transports(failure: type[ServiceError]) -> None:
    assert isinstance(failure.status.flight("x"), Exception)
    assert 200 <= failure.status.http < 600


def test_text_of_a_client_is_cut_in_every_message() -> None:
    for error in (
        QueryRefused("x" * 20_000),
        GraphQLFailure("x" * 20_000),
        InvalidRequest("x" * 20_000),
    ):
        assert len(str(as_flight_error(error))) < LONGEST_SENTENCE + 100
