"""FraiseQL's spellings of names and types, rewritten to the schema's."""

import json
from typing import Any

import pytest
from graphql import print_ast, print_type

from flight_service.graphql.errors import QueryRefused, SchemaInvalid
from flight_service.graphql.request.operation import Limits, Operation, read_operation
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import Schema, build_schema

AUTO = {"has_where": True, "has_order_by": True, "has_limit": True, "has_offset": True}
FIELDS = [
    {"name": "id", "field_type": "ID"},
    {"name": "status", "field_type": {"Enum": "Status"}},
    {"name": "total", "field_type": "Int", "deprecation": {"reason": "use amount"}},
    {"name": "tags", "field_type": {"List": "String"}},
    {"name": "meta", "field_type": "Json"},
    {"name": "lines", "field_type": {"List": {"Object": "Line"}}},
    {"name": "vector", "field_type": "Vector"},
    {"name": "bits", "field_type": "BitVector"},
    {"name": "odd", "field_type": {"Input": "OrderFilter"}},
]
BASE: dict[str, Any] = {
    "types": [
        {"name": "Order", "sql_source": "v_order", "fields": FIELDS},
        {"name": "Line", "sql_source": "", "fields": [{"name": "sku", "field_type": "String"}]},
        {"name": "Opaque", "sql_source": "", "fields": []},
        {
            "name": "OrderError",
            "sql_source": "",
            "is_error": True,
            "fields": [{"name": "message", "field_type": "String"}],
        },
    ],
    "enums": [
        {
            "name": "Status",
            "values": [{"name": "OPEN"}, {"name": "OLD", "deprecation": {"reason": "gone"}}],
        }
    ],
    "input_types": [
        {
            "name": "OrderFilter",
            "fields": [
                {"name": "ids", "field_type": "[ID!]"},
                {"name": "name", "field_type": "String!"},
                {"name": "limit", "field_type": "Int!", "nullable": False},
                {"name": "size", "field_type": "Int", "default_value": "3", "nullable": False},
            ],
        }
    ],
    "queries": [
        {
            "name": "all_orders",
            "return_type": "Order",
            "returns_list": True,
            "auto_params": AUTO,
            "arguments": [{"name": "id", "arg_type": "ID", "nullable": True}],
            "deprecation": {},
        },
        {"name": "pages", "return_type": "Order", "relay": True, "sql_source": "v_order"},
        {
            "name": "ordersCount",
            "return_type": "Order",
            "returns_count": True,
            "auto_params": {"has_where": True},
        },
        {
            "name": "mine",
            "return_type": "Order",
            "inject_params": {"tenant_id": {"source": "enrichment", "claim": "tenant"}},
        },
    ],
    "mutations": [
        {
            "name": "createOrder",
            "return_type": "OrderResult",
            "sql_source": "fn_create_order",
            "operation": {"Insert": {"table": "tb_order"}},
            "inject_params": {"user_id": {"source": "jwt", "claim": "sub"}},
            "arguments": [
                # In GraphQL a required argument cannot be deprecated.
                {"name": "note", "arg_type": "String", "deprecation": {"reason": "no"}},
                {"name": "filter", "arg_type": {"Input": "OrderFilter"}, "nullable": True},
            ],
        }
    ],
    "unions": [{"name": "OrderResult", "member_types": ["Order", "OrderError"]}],
    "fact_tables": {"tf_sales": {"table_name": "tf_sales", "measures": []}},
    "observers": [{"name": "onOrder", "entity": "Order", "event": "INSERT", "actions": []}],
    "federation": {"enabled": True},
    "schema_sdl": "type Order { id: ID! }",
    "_content_hash": "0123456789abcdef0123456789abcdef",
    "directives": [
        {
            "name": "trace",
            "locations": ["FIELD"],
            "arguments": [{"name": "level", "arg_type": "Int", "nullable": True}],
        }
    ],
    "session_variables": {"variables": [], "inject_started_at": False},
    "schema_format_version": 1,
}


def schema(**changes: Any) -> Schema:
    return build_schema(decode(json.dumps(BASE | changes).encode()))


def read(text: str, variables: dict[str, Any] | None = None, **changes: Any) -> Operation:
    return read_operation(schema(**changes), text, variables, None, Limits(10, 100, 1000))


def test_a_compiled_schema_has_fraiseqls_public_names() -> None:
    made = schema().graphql
    assert print_type(made.type_map["OrderFilter"]) == (
        "input OrderFilter {\n  ids: [ID!]\n  name: String\n  limit: Int!\n  size: Int = 3\n}"
    )
    order = print_type(made.type_map["Order"])
    assert 'total: Int! @deprecated(reason: "use amount")' in order
    for shown in ("meta: JSON!", "vector: JSON!", "bits: String!", "odd: JSON!"):
        assert shown in order
    query = print_type(made.type_map["Query"])
    assert "pages(first: Int, after: String, last: Int, before: String): OrderConnection!" in query
    assert "ordersCount(where: OrderWhereInput): Int!" in query
    assert "orderBy: [OrderOrderByInput!]" in query
    assert '@deprecated(reason: "gone")' in print_type(made.type_map["Status"])
    for name in ("SortDirection", "StringListFilter", "LineListFilter", "JSONFilter", "IDFilter"):
        assert name in made.type_map
    assert made.get_directive("trace") is not None
    assert "Opaque" not in made.type_map


@pytest.mark.parametrize(
    ("compiled", "told"),
    [
        (
            {"types": [{"name": "A", "fields": [{"name": "id", "type": "Int"}]}], "queries": []},
            "run `fraiseql compile`",
        ),
        (BASE | {"schema_format_version": 2}, "$.schema_format_version"),
        (BASE | {"directives": [{"name": "d", "locations": ["NOWHERE"]}]}, "NOWHERE"),
    ],
)
def test_an_unreadable_schema_is_an_error_that_says_why(
    compiled: dict[str, Any], told: str
) -> None:
    with pytest.raises(SchemaInvalid) as error:
        build_schema(decode(json.dumps(compiled).encode()))
    assert told in str(error.value)


@pytest.mark.parametrize("name", ["all_orders", "allOrders"])
@pytest.mark.parametrize("convention", ["preserve", "camelCase"])
def test_a_query_is_found_by_both_spellings_of_its_name(name: str, convention: str) -> None:
    found = read(f"{{ {name} {{ id }} }}", naming_convention=convention)
    assert found.roots[0].key == name
    assert found.roots[0].name == ("allOrders" if convention == "camelCase" else "all_orders")


@pytest.mark.parametrize(
    ("declared", "use", "value", "expected"),
    [
        ("$v: JSON", "where: $v", {"id": {"eq": "1"}}, {"where": {"id": {"eq": "1"}}}),
        ("$v: JSON!", "where: {id: $v}", {"eq": "1"}, {"where": {"id": {"eq": "1"}}}),
        ("$v: Json", "where: {meta: {eq: $v}}", [1], {"where": {"meta": {"eq": [1]}}}),
        ("$v: OrderWhereInput", "where: $v", {"total": {"gt": 1}}, {"where": {"total": {"gt": 1}}}),
        ("$v: String", "id: $v", "x", {"id": "x"}),
        ("$v: String!", "where: {status: {eq: $v}}", "OPEN", {"where": {"status": {"eq": "OPEN"}}}),
        ("$v: [String!]", "where: {id: {in: $v}}", ["a"], {"where": {"id": {"in": ["a"]}}}),
        ("$v: String", "where: {total: {gt: $v}}", "12", {"where": {"total": {"gt": 12}}}),
        ("$v: OrderDirection", "orderBy: {total: $v}", "desc", {"orderBy": [{"total": "DESC"}]}),
        ("$v: [OrderOrderBy!]", "orderBy: $v", [{"id": "ASC"}], {"orderBy": [{"id": "ASC"}]}),
    ],
)
def test_a_variable_is_typed_by_its_position(
    declared: str, use: str, value: Any, expected: dict[str, Any]
) -> None:
    found = read(f"query ({declared}) {{ all_orders({use}) {{ id }} }}", {"v": value})
    assert found.roots[0].arguments == expected
    # A forwarded request is sent as the client wrote it.
    assert declared in print_ast(found.document)


@pytest.mark.parametrize(
    "arguments",
    [
        'where: {status: {eq: "OPEN"}}',
        'where: {status: {in: [OPEN, "OLD", null]}}',
        'where: {total: {gt: "5"}}',
        "where: {AND: [{total: {ne: 1}}, {NOT: {total: {is_null: true}}}], OR: []}",
        'where: {tags: {array_contains: ["a"], len_gt: 1}, lines: {arrayOverlaps: []}}',
        'where: {meta: {strictly_contains: {a: 1}}, id: {isNotNull: true, _eq: "x"}}',
        'orderBy: [{field: "total", direction: desc}]',
    ],
)
def test_filters_are_accepted_in_fraiseqls_spellings(arguments: str) -> None:
    assert read(f"{{ all_orders({arguments}) {{ id @trace(level: 1) }} }}").roots


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("query ($v: Nothing) { all_orders(where: $v) { id } }", {}),
        ("query ($v: JSON) { all_orders(where: $v) { id } }", {"v": {"ghost": {"eq": 1}}}),
        ('{ all_orders(where: {status: {eq: "GHOST"}}) { id } }', {}),
        ('{ all_orders(where: {total: {eq: "1.5"}}) { id } }', {}),
        ("query ($v: [String]) { all_orders(id: $v) { id } }", {"v": ["a"]}),
    ],
)
def test_a_variable_that_does_not_fit_its_position_is_refused(
    text: str, variables: dict[str, Any]
) -> None:
    with pytest.raises(QueryRefused):
        read(text, variables)
