"""Roles in every position: selections, conditions, orders, and what introspection shows."""

import json
from typing import Any

import pytest
from graphql import get_introspection_query

from flight_service.authentication import Principal
from flight_service.graphql.errors import LimitExceeded, NotAuthorised, QueryRefused
from flight_service.graphql.planning.access import access_of
from flight_service.graphql.planning.compile import compile_plan
from flight_service.graphql.planning.introspection import hides_names
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
        {
            "name": "Hidden",
            "requires_role": "admin",
            "fields": [field("name"), field("state", {"Enum": "HiddenState"})],
        },
        {
            "name": "Holder",
            "fields": [
                field("one", {"Object": "Named"}),
                field("all", {"List": {"Object": "Both"}}),
                field("hidden", {"Object": "Hidden"}),
                field("nested", {"List": {"Object": "Holder"}}),
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
        query(
            "admins",
            "Open",
            requires_role="admin",
            arguments=[{"name": "as", "arg_type": {"Input": "HiddenInput"}, "nullable": True}],
        ),
    ],
    "enums": [
        {"name": "HiddenState", "values": ["WANTED"]},
        {"name": "HiddenLevel", "values": ["TOP"]},
        {"name": "Unused", "values": ["NEVER"]},
    ],
    "input_types": [{"name": "HiddenInput", "fields": [field("level", {"Enum": "HiddenLevel"})]}],
    "mutations": [
        {"name": "open", "return_type": "Open"},
        {"name": "openHidden", "return_type": "Open", "requires_role": "admin"},
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
        # Lists of objects are compared as JSON.
        '{ holders(where: {all: {array_contains: [{secret: "x"}]}}) { __typename } }',
        '{ holders(where: {all: {array_contains: {own: "x"}}}) { __typename } }',
        '{ holders(where: {all: {eq: [{name: "x"}]}}) { __typename } }',
        '{ holders(where: {all: {nin: [[{name: "x"}]]}}) { __typename } }',
        '{ holders(where: {all: {array_contained_by: [{name: "x"}]}}) { __typename } }',
        '{ holders(where: {all: {arrayOverlaps: [{name: "x"}]}}) { __typename } }',
        '{ holders(where: {nested: {array_contains: [{one: {own: "x"}}]}}) { __typename } }',
        "{ holders(where: {nested: {array_contains: [{all: [{secret: 1}]}]}}) { __typename } }",
        "{ holders(where: {nested: {array_contains: [{hidden: {}}]}}) { __typename } }",
        "{ hiddens { name } }",
        "{ withHidden { __typename } }",
        "{ withHidden { ... on Open { name } } }",
        "{ admins { name } }",
    ],
)
def test_a_role_is_required_in_every_position_and_for_every_member(
    schema: Schema, text: str
) -> None:
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
        '{ holders(where: {all: {array_contains: [{name: "x"}], len_gt: 1}}) { __typename } }',
        "{ holders(where: {nested: {array_contains: [{one: {name: 1}}]}}) { __typename } }",
        "{ holders(where: {all: {isnull: true}}) { __typename } }",
    ],
)
def test_fields_without_a_required_role_are_available_to_all(schema: Schema, text: str) -> None:
    assert plan(schema, text, NOBODY).statements


def test_a_list_of_objects_is_compared_by_fields_of_the_objects(schema: Schema) -> None:
    text = "{ holders(where: {all: {array_contains: [{internal: 1}]}}) { __typename } }"
    with pytest.raises(QueryRefused, match="Both has no field 'internal'"):
        plan(schema, text, ADMIN)


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
    assert {"Named.name", "Open.secret", "Guarded.name", "Query.named", "Unused"} <= shown
    assert "Mutation.open" in shown
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
        "HiddenState",
        "HiddenInput",
        "HiddenLevel",
        "Mutation.openHidden",
    } <= hidden
    assert not {one for one in shown if "Hidden" in one or one.endswith((".own", ".hidden"))}


def test_introspection_of_a_hidden_type_is_null(schema: Schema) -> None:
    text = '{ __type(name: "Hidden") { name } }'
    assert introspected(schema, text, NOBODY) == {"__type": None}
    assert introspected(schema, text, ADMIN) == {"__type": {"name": "Hidden"}}


def test_the_standard_introspection_query_is_within_the_limits(schema: Schema) -> None:
    assert introspected(schema, get_introspection_query(), NOBODY)["__schema"]["types"]


def test_fields_of_introspection_count_towards_the_limit(schema: Schema) -> None:
    many = "".join(f" a{n}: __schema {{ types {{ name }} }}" for n in range(400))
    with pytest.raises(LimitExceeded, match="FRAISEQL_GRAPHQL_MAX_FIELDS"):
        plan(schema, f"{{{many} }}", NOBODY)


def test_the_size_of_introspection_is_limited(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flight_service.graphql.planning.introspection.MAX_BYTES", 5000)
    many = "".join(f" a{n}: __schema {{ types {{ name }} }}" for n in range(20))
    with pytest.raises(LimitExceeded, match="5,000 bytes"):
        plan(schema, f"{{{many} }}", NOBODY)


@pytest.mark.parametrize(
    "text",
    [
        "{ hiddenss { name } }",
        "{ holders { hiddn { name } } }",
        '{ named(where: {secrett: {eq: "x"}}) { name } }',
        "query ($w: NamedWhereInput) { named(where: $w) { name } }",
    ],
)
def test_errors_suggest_only_names_that_the_principal_may_see(schema: Schema, text: str) -> None:
    for principal in (NOBODY, ADMIN):
        hide = hides_names(schema, access_of(schema, principal))
        assert hide == (principal == NOBODY)
        with pytest.raises(QueryRefused) as error:
            read_operation(
                schema, text, {"w": {"secrett": {}}}, None, LIMITS, hide_suggestions=hide
            )
        assert ("Did you mean" in str(error.value)) == (not hide)


def test_an_unknown_field_in_an_order_names_only_fields_that_the_principal_may_see(
    schema: Schema,
) -> None:
    text = '{ named(orderBy: [{field: "nothing"}]) { name } }'
    with pytest.raises(QueryRefused, match=r"it has name \("):
        plan(schema, text, NOBODY)
    with pytest.raises(QueryRefused, match="it has name, own, secret"):
        plan(schema, text, ADMIN)
