import json
from pathlib import Path
from typing import Any, cast

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLObjectType,
    graphql_sync,
    parse,
    print_type,
    validate,
)

from flight_service.graphql.errors import SchemaInvalid
from flight_service.graphql.schema.compiled import Ref
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import build_schema

FIXTURES = Path(__file__).parents[1] / "data/fraiseql"


def compiled(**changes: Any) -> bytes:
    base: dict[str, Any] = {
        "types": [
            {
                "name": "User",
                "sql_source": "v_user",
                "fields": [
                    {"name": "id", "field_type": "ID"},
                    {"name": "age", "field_type": "Int", "nullable": True, "deprecated": "old"},
                    {"name": "friends", "field_type": {"List": {"Object": "User"}}},
                ],
            }
        ],
        "queries": [
            {
                "name": "users",
                "return_type": "User",
                "returns_list": True,
                "auto_params": {
                    "has_where": True,
                    "has_order_by": True,
                    "has_limit": True,
                    "has_offset": True,
                },
            }
        ],
    }
    return json.dumps(base | changes).encode()


def query(**changes: Any) -> dict[str, Any]:
    return {"name": "users", "return_type": "User", **changes}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"types": {}}, "$.types"),
        ({"queries": [query(name=1)]}, "$.queries[0].name"),
        ({"queries": [query(returns_list="yes")]}, "$.queries[0].returns_list"),
        ({"queries": [query(auto_params=True)]}, "$.queries[0].auto_params"),
        ({"queries": [query(name="us ers")]}, "$.queries[0].name"),
        ({"queries": [query(return_type="Nobody")]}, "$.queries[0].return_type"),
        ({"queries": [query(return_type={"List": 1})]}, "$.queries[0].return_type.List"),
        (
            {"queries": [query(inject_params={"t": {"source": "cookie", "claim": "t"}})]},
            "$.queries[0].inject_params[...].source",
        ),
        (
            {"queries": [query(arguments=[{"name": "a", "arg_type": {"Lits": "ID"}}])]},
            "$.queries[0].arguments[0].arg_type",
        ),
        ({"security": {"x": 1}}, "$.security"),
        ({"security": {"rls": {"enabled": True, "forced": True}}}, "$.security.rls"),
        ({"enums": [{"name": "User", "values": ["A"]}]}, "$.enums[0].name"),
        ({"unions": [{"name": "U", "member_types": ["Ghost"]}]}, "$.unions[0].member_types[0]"),
        ({"unions": [{"name": "U", "member_types": []}]}, "$.unions[0].member_types"),
    ],
)
def test_a_wrong_value_is_named_by_its_path_in_the_file(
    changes: dict[str, Any], place: str
) -> None:
    with pytest.raises(SchemaInvalid) as error:
        decode(compiled(**changes))
    assert f"`{place}`" in str(error.value)


def test_keys_that_nobody_knows_are_ignored() -> None:
    assert decode(compiled(rest_config={"x": 1})).queries[0].name == "users"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Id", Ref("ID")),
        ("String", Ref("String")),
        ({"Scalar": "Money"}, Ref("Money")),
        ({"Object": "User"}, Ref("User")),
        ({"List": "Int"}, Ref(of=Ref("Int"))),
        ({"List": {"NonNull": {"Enum": "Mood"}}}, Ref(of=Ref("Mood"), of_nullable=False)),
        ({"List": {"List": "Uuid"}}, Ref(of=Ref(of=Ref("UUID")))),
        ({"List": {"item": "Int"}}, Ref(of=Ref("Int"), of_nullable=False)),
        ({"List": {"item": "Int", "nullable_items": True}}, Ref(of=Ref("Int"))),
        (
            {"List": {"item": {"List": {"item": "Int"}}}},
            Ref(of=Ref(of=Ref("Int"), of_nullable=False), of_nullable=False),
        ),
    ],
)
def test_a_reference_is_read_in_each_of_its_forms(written: Any, read: Ref) -> None:
    argument = {"name": "a", "arg_type": written, "nullable": True}
    found = decode(compiled(queries=[query(arguments=[argument])]))
    assert found.queries[0].arguments[0].arg_type == read


@pytest.mark.parametrize("name", ["schema.compiled.json", "constructs.compiled.json"])
def test_what_fraiseqls_compiler_wrote_is_a_schema(name: str) -> None:
    schema = build_schema(decode((FIXTURES / name).read_bytes()))
    assert schema.queries


def test_a_schema_without_queries_is_served() -> None:
    schema = build_schema(decode(compiled(queries=[]))).graphql
    assert graphql_sync(schema, "{ __typename __schema { queryType { name } } }").data == {
        "__typename": "Query",
        "__schema": {"queryType": {"name": "Query"}},
    }
    assert validate(schema, parse("{ users { id } }"))


def test_members_of_an_enum_are_stored_as_their_values() -> None:
    enums = [{"name": "Level", "values": [{"name": "LOW", "value": 1}, {"name": "X"}, "Y"]}]
    argument = {"name": "l", "arg_type": {"List": "Level"}, "default_value": ["LOW", "X"]}
    schema = build_schema(decode(compiled(enums=enums, queries=[query(arguments=[argument])])))
    assert schema.enums["Level"] == {"1": "LOW", "X": "X", "Y": "Y"}
    level = cast(GraphQLEnumType, schema.graphql.type_map["Level"])
    assert [level.parse_value(name) for name in ("LOW", "X", "y")] == [1, "X", "Y"]
    query_type = cast(GraphQLObjectType, schema.graphql.query_type)
    assert query_type.fields["users"].args["l"].default_value == [1, "X"]


def test_types_become_the_types_that_clients_see() -> None:
    schema = build_schema(decode(compiled())).graphql
    assert print_type(schema.type_map["User"]) == (
        'type User {\n  id: ID!\n  age: Int @deprecated(reason: "old")\n  friends: [User]!\n}'
    )


def test_automatic_arguments_are_generated() -> None:
    schema = build_schema(decode(compiled())).graphql
    assert print_type(schema.type_map["Query"]) == (
        "type Query {\n"
        "  users(where: UserWhereInput, orderBy: [UserOrderByInput!], limit: Int, offset: Int): "
        "[User!]!\n"
        "}"
    )


def test_a_paging_query_has_a_connection() -> None:
    paging = query(returns_list=True, relay=True, relay_cursor_column="id")
    schema = build_schema(decode(compiled(queries=[paging]))).graphql
    assert print_type(schema.type_map["Query"]) == (
        "type Query {\n"
        "  users(first: Int, after: String, last: Int, before: String): UserConnection!\n"
        "}"
    )


def test_two_paging_queries_of_a_type_share_its_connection() -> None:
    paging = [query(name=name, returns_list=True, relay=True) for name in ("users", "others")]
    schema = build_schema(decode(compiled(queries=paging))).graphql
    assert schema.query_type is not None
    one, other = (field.type for field in schema.query_type.fields.values())
    assert str(one) == str(other) == "UserConnection!"
    assert "totalCount: Int" in print_type(schema.type_map["UserConnection"])


def test_an_injected_argument_is_hidden_from_clients() -> None:
    injected = query(
        arguments=[{"name": "id", "arg_type": "ID"}],
        inject_params={"id": {"source": "jwt", "claim": "sub"}},
    )
    schema = build_schema(decode(compiled(queries=[injected]))).graphql
    assert print_type(schema.type_map["Query"]) == "type Query {\n  users: User!\n}"


def test_the_schemas_own_type_of_a_generated_name_is_taken() -> None:
    own = {"name": "UserWhereInput", "fields": [{"name": "x", "field_type": "Int"}]}
    schema = build_schema(decode(compiled(input_types=[own]))).graphql
    assert schema.query_type is not None
    assert print_type(schema.query_type.fields["users"].args["where"].type) == (
        "input UserWhereInput {\n  x: Int\n}"
    )


def test_a_generated_name_gives_way_to_another_kind_of_type() -> None:
    own = {"name": "UserWhereInput", "fields": [{"name": "x", "field_type": "Int"}]}
    types = [*json.loads(compiled())["types"], own]
    schema = build_schema(decode(compiled(types=types))).graphql
    assert schema.query_type is not None
    assert str(schema.query_type.fields["users"].args["where"].type) == "UserWhereInput_"
