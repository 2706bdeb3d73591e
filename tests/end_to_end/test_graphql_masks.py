"""Masked fields on real documents: scalars, objects, lists, and fields of some members only."""

import json
from collections.abc import Iterator
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pytest
from graphql_shop import AUTO, field, write_schema
from pydantic import SecretStr

from flight_service.authentication import ANYONE, Principal
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

SCHEMA = "graphql_masks"
DOCUMENT = {
    "__typename": "Person",
    "id": 1,
    "pay": 7,
    "tags": ["a"],
    "home": {"street": "x", "pay": 3},
    "friends": [{"id": 2, "pay": 8}, {"id": 3, "pay": None}],
}
PET = {"__typename": "Pet", "id": 9, "pay": 1}
MASK: dict[str, Any] = {"requires_scope": "read:pay", "on_deny": "mask"}
PERSON = [
    field("id", "Int", nullable=False),
    field("pay", "Int", nullable=False, **MASK),
    field("tags", {"List": "String"}, **MASK),
    field("home", {"Object": "Home"}, **MASK),
    field("friends", {"List": {"Object": "Person"}}),
]


def query(name: str, of: str) -> dict[str, Any]:
    return {
        "name": name,
        "return_type": of,
        "returns_list": True,
        "sql_source": f"{SCHEMA}.tv_being",
        "auto_params": AUTO,
    }


COMPILED = {
    "types": [
        {"name": "Person", "implements": ["Being"], "fields": PERSON},
        {"name": "Home", "fields": [field("street", "String", nullable=False)]},
        {
            "name": "Pet",
            "implements": ["Being"],
            "fields": [field("id", "Int", nullable=False), field("pay", "Int", nullable=False)],
        },
    ],
    "interfaces": [{"name": "Being", "fields": [field("id", "Int", nullable=False)]}],
    "queries": [query("people", "Person"), query("beings", "Being")],
    "security": {"role_definitions": [{"name": "hr", "scopes": ["read:*"]}]},
}
HR = Principal(subject="ann", roles=frozenset(("hr",)), claims={"sub": "ann"})


@pytest.fixture(scope="module")
def graphql(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphQL]:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        run.execute(f"CREATE SCHEMA {SCHEMA}")
        run.execute(f"CREATE TABLE {SCHEMA}.tv_being (id int, data jsonb)")
        for document in (DOCUMENT, PET):
            row = (document["id"], json.dumps(document))
            run.execute(f"INSERT INTO {SCHEMA}.tv_being VALUES ($1, $2::jsonb)", row)
        path = write_schema(tmp_path_factory.mktemp("masks"), COMPILED)
        made = GraphQL(Settings(database_url=SecretStr(database_url), schema_path=path))
        yield made
        made.close()
        run.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def both(graphql: GraphQL, text: str, principal: Principal) -> Any:
    """The rows over Arrow; asserts that JSON has the same."""
    prepared = graphql.prepare(Request(text), principal)
    rows = [row for batch in graphql.batches(prepared) for row in batch.to_pylist()]
    [shown] = json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}").values()
    for row, one in zip(rows, shown, strict=True):
        assert {key: row[key] for key in one} == one
    return shown


def test_masked_fields_are_null_at_every_depth(graphql: GraphQL) -> None:
    text = """{ people(where: {id: {eq: 1}}) {
        id pay tags home { street } friends { id pay friends { pay } } } }"""
    friends = [{"id": 2, "pay": None, "friends": None}, {"id": 3, "pay": None, "friends": None}]
    assert both(graphql, text, ANYONE) == [
        {"id": 1, "pay": None, "tags": None, "home": None, "friends": friends}
    ]
    shown = both(graphql, text.replace("friends { id pay friends { pay } }", ""), HR)
    assert shown == [{"id": 1, "pay": 7, "tags": ["a"], "home": {"street": "x"}}]


def test_a_field_is_masked_for_members_that_mask_it(graphql: GraphQL) -> None:
    text = """{ beings(orderBy: {id: ASC}) {
        id ... on Person { pay home { street } } ... on Pet { pay } } }"""
    assert both(graphql, text, ANYONE) == [
        {"id": 1, "pay": None, "home": None},
        {"id": 9, "pay": 1},
    ]
    assert both(graphql, text, HR)[0] == {"id": 1, "pay": 7, "home": {"street": "x"}}
