"""Roles, scopes and kinds of principals, in every position that a field can be named in."""

import json
from typing import Any

import pyarrow as pa
import pytest

from flight_service.authentication import ANYONE, Principal
from flight_service.graphql.errors import NotAuthorised, SchemaInvalid
from flight_service.graphql.execution.session import session_settings
from flight_service.graphql.planning.access import access_of
from flight_service.graphql.planning.compile import compile_plan
from flight_service.graphql.planning.plan import RootStatement
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.postgres.catalogue import ColumnInfo
from flight_service.graphql.request.operation import Limits, read_operation
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import Schema, build_schema
from flight_service.graphql.schema.security import RoleDefinition
from flight_service.graphql.sources.source import Source, Sources

AUTO = {"has_where": True, "has_order_by": True, "has_limit": True, "has_offset": True}
SECRET = {"requires_scope": "read:Person.salary"}
MASKED = {"requires_scope": "read:Person.email", "on_deny": "mask"}
ROLES = [
    {"name": "hr", "scopes": ["read:Person.*"]},
    {"name": "all", "scopes": ["*"]},
    {"name": "support", "scopes": ["read:Person.email", "write:*"]},
]


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "field_type": kind, "nullable": True, **more}


def query(name: str, of: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "return_type": of,
        "returns_list": True,
        "sql_source": "tv_person",
        "auto_params": AUTO,
        **more,
    }


COMPILED = {
    "types": [
        {
            "name": "Person",
            "implements": ["Being"],
            "fields": [
                field("name", "String"),
                field("salary", "Int", **SECRET),
                field("email", "String", **MASKED | {"nullable": False}),
                field("boss", {"Object": "Person"}),
                field("friends", {"List": {"Object": "Person"}}, **MASKED),
            ],
        },
        {"name": "Dog", "implements": ["Being"], "fields": [field("name", "String")]},
        {
            "name": "Robot",
            "implements": ["Being"],
            "fields": [field("name", "String", **SECRET)],
        },
    ],
    "interfaces": [{"name": "Being", "fields": [field("name", "String")]}],
    "queries": [
        query(
            "people",
            "Person",
            arguments=[{"name": "salary", "arg_type": "Int", "nullable": True}],
        ),
        query("beings", "Being"),
        query("agents", "Person", requires_actor=["ai_agent", "service_account"]),
    ],
    "security": {"role_definitions": ROLES, "default_role": "support"},
}
STORED = Source(
    "tv_person",
    "documents",
    '"tv_person"',
    {},
    {"data": ColumnInfo("data", "jsonb")},
    document="data",
    builds=False,
)


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema(decode(json.dumps(COMPILED).encode()))


def known(*roles: str, **claims: Any) -> Principal:
    return Principal(subject="ann", roles=frozenset(roles), claims={"sub": "ann", **claims})


def plan(schema: Schema, text: str, principal: Principal = ANYONE) -> RootStatement:
    operation = read_operation(schema, text, {}, None, Limits(10, 100, 1000))
    sources = Sources(
        dict.fromkeys(schema.queries, (STORED,)), dict.fromkeys(schema.queries, ()), {}
    )
    limit = RowLimit(1000)
    [root] = compile_plan(schema, lambda _: sources, operation, principal, limit).statements
    return root


@pytest.mark.parametrize(
    "text",
    [
        "{ people { salary } }",
        "{ people { a: salary } }",
        "{ people { boss { salary } } }",
        "{ people { boss { boss { ...F } } } } fragment F on Person { salary }",
        "{ beings { ... on Person { salary } } }",
        "{ people(where: {salary: {gt: 1}}) { name } }",
        "{ people(where: {_not: {_or: [{salary: {isnull: true}}]}}) { name } }",
        "{ people(where: {boss: {salary: {eq: 1}}}) { name } }",
        "{ people(orderBy: {salary: ASC}) { name } }",
        "{ people(orderBy: {boss: {salary: ASC}}) { name } }",
        '{ people(orderBy: [{field: "salary"}]) { name } }',
        '{ people(orderBy: [{field: "boss.salary"}]) { name } }',
        "{ people(salary: 3) { name } }",
        # A filter or order on a masked field would reveal its value.
        '{ people(where: {email: {eq: "x"}}) { name } }',
        "{ people(orderBy: {email: ASC}) { name } }",
        # The name of a robot requires a scope.
        "{ beings { name } }",
        '{ beings(where: {name: {eq: "x"}}) { __typename } }',
        "{ beings(orderBy: {name: ASC}) { __typename } }",
    ],
)
def test_a_field_whose_scope_is_missing_is_refused_in_every_position(
    schema: Schema, text: str
) -> None:
    with pytest.raises(NotAuthorised) as error:
        plan(schema, text)
    assert "needs the scope 'read:Person." in str(error.value)
    assert plan(schema, text, known("hr"))
    assert plan(schema, text, known("all", "support"))


def test_a_masked_field_is_null(schema: Schema) -> None:
    text = "{ people { name email friends { name } boss { email } } }"
    root = plan(schema, text, known("nobody"))
    assert root.result.schema.field("email") == pa.field("email", pa.string(), nullable=True)
    assert "'email'" not in root.sql
    assert "'friends'" not in root.sql
    open_ = plan(schema, text, known("hr"))
    assert open_.result.schema.field("email") == pa.field("email", pa.string(), nullable=False)
    assert open_.result.schema.field("friends").type == root.result.schema.field("friends").type


def test_fields_below_a_masked_field_are_not_refused(schema: Schema) -> None:
    root = plan(schema, "{ people { friends { salary boss { salary } } } }", known("nobody"))
    assert "'friends'" not in root.sql
    with pytest.raises(NotAuthorised):
        plan(schema, "{ people { friends { name } boss { salary } } }", known("nobody"))


@pytest.mark.parametrize(
    ("principal", "scopes"),
    [
        (ANYONE, set()),
        (known(), {"read:Person.email"}),
        (known("nobody"), set()),
        (known("support"), {"read:Person.email"}),
        (known("hr"), {"read:Person.email", "read:Person.salary"}),
        # By FraiseQL's rule, the scopes of a token itself do not count.
        (known("nobody", scope="read:Person.salary"), set()),
    ],
)
def test_scopes_come_from_roles(schema: Schema, principal: Principal, scopes: set[str]) -> None:
    assert access_of(schema, principal).scopes == scopes


@pytest.mark.parametrize(
    ("own", "asked", "held"),
    [
        ("*", "read:x", True),
        ("read:*", "read:x", True),
        ("read:*", "readwrite:x", False),
        ("read:User.*", "read:User.email", True),
        ("read:User.*", "read:Users.email", False),
        ("read*", "read:x", False),
        ("read:x", "read:x", True),
        ("read:x", "read:xy", False),
    ],
)
def test_a_wildcard_in_a_scope_matches_only_whole_segments(
    own: str, asked: str, held: bool
) -> None:
    assert RoleDefinition("r", (own,)).grants(asked) == held


@pytest.mark.parametrize(
    ("principal", "kind"),
    [
        (ANYONE, None),
        (known(), "human_user"),
        (known(act={"sub": "agent"}), "ai_agent"),
        (
            Principal("x", scopes=frozenset(("service_account",)), claims={"sub": "x"}),
            "service_account",
        ),
    ],
)
def test_a_query_can_be_limited_to_kinds_of_principals(
    schema: Schema, principal: Principal, kind: str | None
) -> None:
    assert access_of(schema, principal).actor == kind
    if kind in ("ai_agent", "service_account"):
        assert plan(schema, "{ agents { name } }", principal)
    else:
        with pytest.raises(NotAuthorised):
            plan(schema, "{ agents { name } }", principal)


def test_without_role_definitions_no_principal_has_a_scope() -> None:
    compiled = {**COMPILED, "security": None}
    schema = build_schema(decode(json.dumps(compiled).encode()))
    with pytest.raises(NotAuthorised):
        plan(schema, "{ people { salary } }", known("hr"))


def test_claims_become_settings_of_the_transaction() -> None:
    variables = [
        {"name": "app.tenant_id", "source": "jwt", "claim": "tenant_id"},
        {"name": "app.user", "source": "jwt", "claim": "user_id"},
        {"name": "app.numbers", "source": "jwt", "claim": "numbers"},
        {"name": "app.missing", "source": "jwt", "claim": "nothing"},
        {"name": "app.locale", "source": "literal", "value": "en"},
    ]
    compiled = {**COMPILED, "session_variables": {"variables": variables}}
    found = decode(json.dumps(compiled).encode()).session_variables
    settings = session_settings(found, known(tenant_id="t1", numbers=[1, 2]))
    assert json.loads(settings.pop("fraiseql.claims"))["tenant_id"] == "t1"
    assert settings == {
        "app.tenant_id": "t1",
        "app.user": "ann",
        "app.numbers": "[1,2]",
        "app.locale": "en",
    }
    assert session_settings(found, ANYONE) == {"fraiseql.claims": "{}"}


@pytest.mark.parametrize("name", ["tenant", "fraiseql.claims", "FraiseQL.p1", "app.a; DROP", ""])
def test_a_session_variable_with_a_reserved_or_invalid_name_is_refused(name: str) -> None:
    variables = {"variables": [{"name": name, "source": "literal", "value": "x"}]}
    with pytest.raises(SchemaInvalid):
        decode(json.dumps({**COMPILED, "session_variables": variables}).encode())


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"security": {"policies": [{"name": "p"}]}}, "$.security.policies"),
        ({"security": {"field_auth": [{}]}}, "$.security.field_auth"),
        ({"security": {"default_policy": "authenticated"}}, "$.security.default_policy"),
        ({"security": {"persisted_queries_only": True}}, "$.security.persisted_queries_only"),
        ({"security": {"token_revocation": {"enabled": True}}}, "$.security.token_revocation"),
        (
            {"security": {"trusted_documents": {"enabled": True, "mode": "strict"}}},
            "$.security.trusted_documents",
        ),
        ({"security": {"tenancy": {"mode": "schema"}}}, "$.security.tenancy.mode"),
        (
            {
                "session_variables": {
                    "variables": [{"name": "a.b", "source": "header", "header": "x"}]
                }
            },
            "$.session_variables.variables[0]",
        ),
        (
            {"types": [{"name": "Person", "fields": [field("a", "Int", authorize=True)]}]},
            "authorize",
        ),
        (
            {"types": [{"name": "Person", "fields": [field("a", "Int", encryption={"k": 1})]}]},
            "encryption",
        ),
    ],
)
def test_rules_that_only_fraiseql_enforces_are_named(changes: dict[str, Any], place: str) -> None:
    compiled = {**COMPILED, "queries": [query("people", "Person")], **changes}
    [found] = decode(json.dumps(compiled).encode()).unenforced
    assert place in found


def test_rate_limits_and_login_settings_do_not_refuse_a_schema() -> None:
    security = {
        "rate_limiting": {"enabled": True},
        "pkce": {"enabled": True},
        "cost_budget": {"per_request_max": 10},
        "token_revocation": {"enabled": False},
        "trusted_documents": {"enabled": True, "mode": "permissive"},
    }
    assert decode(json.dumps({**COMPILED, "security": security}).encode()).unenforced == ()
