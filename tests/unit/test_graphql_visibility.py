"""Roles in every position: selections, conditions, orders, and what introspection shows."""

import json
from typing import Any

import pytest
from graphql import get_introspection_query

from flight_service.authentication import Principal
from flight_service.graphql.errors import LimitExceeded, NotAuthorised
from flight_service.graphql.planning.compile import compile_plan
from flight_service.graphql.planning.plan import StatementPlan
from flight_service.graphql.planning.result import ConstantResult
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.postgres.catalogue import ColumnInfo
from flight_service.graphql.request.operation import Limits, read_operation
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import Schema, build_schema
from flight_service.graphql.sources.source import Source, Sources

LIMITS = Limits(20, 1000, 100_000)
STORED = Source(
    "tv_x",
    "documents",
    '"tv_x"',
    {},
    {"data": ColumnInfo("data", "jsonb")},
    document="data",
    builds=False,
)
NOBODY, ADMIN = Principal(subject="n"), Principal(subject="a", roles=frozenset({"admin"}))


def field(name: str, kind: Any = "String", **more: Any) -> dict[str, Any]:
    return {"name": name, "field_type": kind, "nullable": True, **more}


def query(name: str, of: str, **more: Any) -> dict[str, Any]:
    auto = {"has_where": True, "has_order_by": True, "has_limit": True, "has_offset": True}
    return {
        "name": name,
        "return_type": of,
        "returns_list": True,
        "sql_source": "tv_x",
        "auto_params": auto,
        **more,
    }


COMPILED = {
    "interfaces": [
        {
            "name": "Named",
            "fields": [field("name"), field("secret"), field("own", requires_role="admin")],
        }
    ],
    "types": [
        {
            "name": "Open",
            "implements": ["Named"],
            "fields": [field("name"), field("secret"), field("own")],
        },
        {
            "name": "Guarded",
            "implements": ["Named"],
            "fields": [field("name"), field("secret", requires_role="admin"), field("own")],
        },
        {"name": "Hidden", "requires_role": "admin", "fields": [field("name")]},
        {
            "name": "Holder",
            "fields": [
                field("one", {"Object": "Named"}),
                field("all", {"List": {"Object": "Both"}}),
                field("hidden", {"Object": "Hidden"}),
            ],
        },
    ],
    "unions": [
        {"name": "Both", "member_types": ["Open", "Guarded"]},
        {"name": "WithHidden", "member_types": ["Open", "Hidden"]},
    ],
    "queries": [
        query("named", "Named"),
        query("opens", "Open"),
        query("both", "Both"),
        query("holders", "Holder"),
        query("hiddens", "Hidden"),
        query("withHidden", "WithHidden"),
        query("admins", "Open", requires_role="admin"),
    ],
}


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema(decode(json.dumps(COMPILED).encode()))


def plan(schema: Schema, text: str, principal: Principal) -> StatementPlan:
    operation = read_operation(schema, text, {}, None, LIMITS)
    known = Sources(dict.fromkeys(schema.queries, (STORED,)), dict.fromkeys(schema.queries, ()), {})
    return compile_plan(schema, lambda _: known, operation, principal, RowLimit(1000))


@pytest.mark.parametrize(
    "text",
    [
        "{ named { secret } }",
        "{ named { own } }",
        "{ named { ... on Guarded { secret } } }",
        "{ named { ... on Open { own } } }",
        "{ opens { own } }",
        '{ named(where: {secret: {eq: "x"}}) { name } }',
        '{ named(where: {own: {eq: "x"}}) { name } }',
        '{ opens(where: {own: {eq: "x"}}) { name } }',
        '{ opens(where: {_not: {_or: [{own: {startswith: "x"}}]}}) { name } }',
        "{ named(orderBy: {secret: ASC}) { name } }",
        '{ named(orderBy: {field: "own"}) { name } }',
        "{ opens(orderBy: {own: DESC}) { name } }",
        "{ both { ... on Guarded { secret } } }",
        "{ both { ... on Open { own } } }",
        "{ holders { one { secret } } }",
        "{ holders { one { own } } }",
        "{ holders { all { ... on Guarded { name: secret } } } }",
        "{ holders { all { ... on Open { own } } } }",
        "{ holders { hidden { name } } }",
        "{ holders { hidden { __typename } } }",
        '{ holders(where: {one: {secret: {eq: "x"}}}) { __typename } }',
        "{ holders(where: {one: {own: {isnull: false}}}) { __typename } }",
        '{ holders(where: {hidden: {name: {eq: "x"}}}) { __typename } }',
        '{ holders(orderBy: {field: "one.secret"}) { __typename } }',
        '{ holders(orderBy: {field: "one.own"}) { __typename } }',
        '{ holders(orderBy: {field: "hidden.name"}) { __typename } }',
        "{ holders(orderBy: {one: {own: ASC}}) { __typename } }",
        "{ hiddens { name } }",
        "{ withHidden { __typename } }",
        "{ withHidden { ... on Open { name } } }",
        "{ admins { name } }",
    ],
)
def test_a_role_binds_in_every_position_and_for_every_member(schema: Schema, text: str) -> None:
    with pytest.raises(NotAuthorised, match="'admin'"):
        plan(schema, text, NOBODY)
    assert plan(schema, text, ADMIN).statements


@pytest.mark.parametrize(
    "text",
    [
        "{ named { name __typename } }",
        "{ named { ... on Open { secret } } }",
        "{ both { ... on Open { secret } ... on Guarded { name } } }",
        "{ holders { one { name } all { __typename } } }",
    ],
)
def test_what_needs_no_role_is_everyone_s(schema: Schema, text: str) -> None:
    assert plan(schema, text, NOBODY).statements


def introspected(schema: Schema, text: str, principal: Principal) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for root in plan(schema, text, principal).roots:
        assert isinstance(root, ConstantResult)
        found[root.key] = json.loads(root.json)
    return found


def names(schema: Schema, principal: Principal) -> set[str]:
    text = "{ __schema { types { name fields { name } inputFields { name } } } }"
    types = introspected(schema, text, principal)["__schema"]["types"]
    return {one["name"] for one in types} | {
        f"{one['name']}.{inner['name']}"
        for one in types
        for inner in [*(one["fields"] or ()), *(one["inputFields"] or ())]
    }


def test_introspection_shows_what_the_principal_may_use(schema: Schema) -> None:
    shown, every = names(schema, NOBODY), names(schema, ADMIN)
    assert {"Named.name", "Open.secret", "Guarded.name", "Query.named"} <= shown
    hidden = every - shown
    assert {
        "Hidden",
        "WithHidden",
        "Guarded.secret",
        "Named.secret",
        "Named.own",
        "Open.own",
        "Holder.hidden",
        "Query.hiddens",
        "Query.withHidden",
        "Query.admins",
    } <= hidden
    assert not {one for one in shown if "Hidden" in one or one.endswith((".own", ".hidden"))}


def test_a_type_that_is_hidden_is_none(schema: Schema) -> None:
    text = '{ __type(name: "Hidden") { name } }'
    assert introspected(schema, text, NOBODY) == {"__type": None}
    assert introspected(schema, text, ADMIN) == {"__type": {"name": "Hidden"}}


def test_the_usual_introspection_is_within_the_limits(schema: Schema) -> None:
    assert introspected(schema, get_introspection_query(), NOBODY)["__schema"]["types"]


def test_introspection_counts_as_fields(schema: Schema) -> None:
    many = "".join(f" a{n}: __schema {{ types {{ name }} }}" for n in range(400))
    with pytest.raises(LimitExceeded, match="FRAISEQL_GRAPHQL_MAX_FIELDS"):
        plan(schema, f"{{{many} }}", NOBODY)


def test_introspection_is_bounded_in_bytes(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flight_service.graphql.planning.introspection.MOST_BYTES", 5000)
    many = "".join(f" a{n}: __schema {{ types {{ name }} }}" for n in range(20))
    with pytest.raises(LimitExceeded, match="5,000 bytes"):
        plan(schema, f"{{{many} }}", NOBODY)
