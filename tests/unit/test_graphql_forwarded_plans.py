"""Plans of forwarded queries: typed by the schema, without a server or database."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from flight_service.authentication import ANYONE, Principal
from flight_service.graphql.errors import LimitExceeded, NotAuthorised, QueryRefused
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.request.operation import Limits, read_operation
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import build_schema
from flight_service.graphql.sources.registry import Loaded
from flight_service.graphql.upstream.backend import ForwardedPlan, FraiseqlBackend
from flight_service.graphql.upstream.client import FraiseqlServer

PERSON = {
    "name": "Person",
    "sql_source": "v_person",
    "fields": [
        {"name": "id", "field_type": "ID"},
        {"name": "age", "field_type": "Int", "nullable": True},
        {"name": "salary", "field_type": "Int", "requires_role": "hr"},
        {"name": "email", "field_type": "String", "requires_scope": "x", "on_deny": "mask"},
        {"name": "friends", "field_type": {"List": {"Object": "Person"}}, "nullable": True},
    ],
}
PEOPLE = {
    "name": "people",
    "return_type": "Person",
    "returns_list": True,
    "auto_params": {"has_where": True, "has_order_by": True, "has_limit": True},
}
TENANT = {"tenant_id": {"source": "jwt", "claim": "tenant"}}
REGION = {"region": {"source": "enrichment", "claim": "region"}}
QUERIES = [
    PEOPLE,
    PEOPLE | {"name": "mine", "inject_params": TENANT},
    PEOPLE | {"name": "nearby", "inject_params": REGION},
]


def plan(
    text: str, principal: Principal = ANYONE, *, knows_principals: bool = True, max_rows: int = 10
) -> ForwardedPlan:
    schema = build_schema(decode(json.dumps({"types": [PERSON], "queries": QUERIES}).encode()))
    loaded = Loaded(schema, 1, datetime.now(UTC), unreachable)
    operation = read_operation(schema, text, {}, None, Limits(10, 100, 1000))
    backend = FraiseqlBackend(
        FraiseqlServer("http://127.0.0.1:9/graphql", 1.0, 2**20),
        knows_principals=knows_principals,
        batch_rows=100,
        limit=RowLimit(max_rows),
    )
    return backend.plan(loaded, operation, principal)


def unreachable(sql: str, values: Any) -> pa.Table:
    raise AssertionError("no database is asked")


def test_every_int_is_as_wide_as_a_column_may_be() -> None:
    [root] = plan("{ people { id age friends { age } } }").result.read
    friend = pa.struct([pa.field("age", pa.int64())])
    assert root.schema.field("age").type == pa.int64()
    assert root.schema.field("friends").type == pa.list_(pa.field("item", friend, nullable=True))


def test_the_request_holds_the_query_and_its_variables() -> None:
    body = msgspec.json.decode(plan("query A { people(limit: 3) { id } }").request)
    assert body["operationName"] == "A"
    assert "people(limit: 3)" in body["query"]
    assert body["variables"] == {}


@pytest.mark.parametrize(
    "text",
    [
        "{ people { salary } }",
        "{ people(where: {salary: {gt: 1}}) { id } }",
        "{ people(orderBy: {salary: ASC}) { id } }",
        '{ people(where: {friends: {len_eq: 0}}, orderBy: [{field: "salary"}]) { id } }',
        "{ mine { id } }",
    ],
)
def test_a_known_principal_is_refused_before_the_server_is_asked(text: str) -> None:
    with pytest.raises(NotAuthorised):
        plan(text)
    assert plan(text, Principal("a", roles=frozenset(("hr",)), claims={"tenant": "t"}))


@pytest.mark.parametrize(
    "text",
    [
        "{ people { salary } }",
        "{ people(where: {salary: {gt: 1}}) { id } }",
        '{ people(where: {email: {eq: "x"}}) { id } }',
        "{ mine { id } }",
    ],
)
def test_the_server_decides_about_principals_that_are_not_known(text: str) -> None:
    assert plan(text, knows_principals=False).request


def test_a_field_that_the_server_may_mask_may_be_null() -> None:
    [root] = plan("{ people { email id } }", knows_principals=False).result.read
    assert root.schema.field("email").nullable
    assert not root.schema.field("id").nullable


def test_what_fraiseql_looks_up_of_a_principal_is_left_to_its_server() -> None:
    assert plan("{ nearby { id } }").request


def test_more_rows_than_allowed_are_refused_before_the_server_is_asked() -> None:
    with pytest.raises(LimitExceeded, match="FRAISEQL_GRAPHQL_MAX_ROWS allows 10"):
        plan("{ people(limit: 11) { id } }")


def test_an_order_by_a_field_that_does_not_exist_is_refused_before_the_server_is_asked() -> None:
    with pytest.raises(QueryRefused, match="has no field 'nothing'"):
        plan('{ people(orderBy: [{field: "nothing"}]) { id } }')


def test_each_root_is_explained_by_the_server_that_answers_it() -> None:
    [root] = plan("{ people { id } }").explain()
    assert root["field"] == "people"
    assert root["source"] == "FRAISEQL_GRAPHQL_URL"
