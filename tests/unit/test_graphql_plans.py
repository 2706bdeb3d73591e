"""The SQL of plans, as snapshots, over sources that are written down instead of learned."""

import json
from typing import Any

import pyarrow as pa
import pytest

from flight_service.authentication import ANYONE, Principal
from flight_service.graphql.errors import NotAuthorised
from flight_service.graphql.planning.compile import compile_plan
from flight_service.graphql.planning.plan import RootStatement
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.postgres.catalogue import ColumnInfo
from flight_service.graphql.request.operation import Limits, read_operation
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import Schema, build_schema
from flight_service.graphql.sources.source import Source, Sources

LIMITS = Limits(10, 100, 1000)


def described(**types: str) -> dict[str, ColumnInfo]:
    return {name: ColumnInfo(name, kind) for name, kind in types.items()}


FLAT_COLUMNS = described(id="uuid", total="numeric", placed_at="timestamptz", tenant_id="text")
FLAT = Source(
    "va_order",
    "the flat relation",
    '"va_order"',
    {
        "id": FLAT_COLUMNS["id"],
        "total": FLAT_COLUMNS["total"],
        "placedAt": FLAT_COLUMNS["placed_at"],
    },
    FLAT_COLUMNS,
    document=None,
    builds=False,
)
STORED = Source(
    "tv_order",
    "documents, and the typed columns beside them",
    '"tv_order"',
    {},
    described(data="jsonb"),
    document="data",
    builds=False,
)
BUILT = Source(
    "v_order", "documents", '"v_order"', {}, described(data="jsonb"), document="data", builds=True
)


@pytest.fixture(scope="module")
def schema() -> Schema:
    order = {
        "name": "Order",
        "sql_source": "v_order",
        "fields": [
            {"name": name, "field_type": kind, "nullable": True}
            for name, kind in (
                ("id", "ID"),
                ("total", "Decimal"),
                ("placedAt", "DateTime"),
                ("lines", {"List": {"Object": "Line"}}),
                ("buyer", {"Object": "Buyer"}),
            )
        ],
    }
    line = {"name": "Line", "fields": [{"name": "count", "field_type": "Int", "nullable": True}]}
    buyer = {
        "name": "Buyer",
        "requires_role": "sales",
        "fields": [{"name": "name", "field_type": "String"}],
    }
    auto = {"has_where": True, "has_order_by": True, "has_limit": True, "has_offset": True}
    query = {"name": "orders", "return_type": "Order", "returns_list": True, "auto_params": auto}
    mine = query | {
        "name": "mine",
        "inject_params": {"tenant_id": {"source": "jwt", "claim": "tenant"}},
    }
    compiled = {"types": [order, line, buyer], "queries": [query, mine]}
    return build_schema(decode(json.dumps(compiled).encode()))


def plan(
    schema: Schema, text: str, *sources: Source, principal: Principal = ANYONE, **variables: Any
) -> RootStatement:
    operation = read_operation(schema, text, variables, None, LIMITS)
    known = Sources(dict.fromkeys(schema.queries, sources), dict.fromkeys(schema.queries, ()), {})
    [root] = compile_plan(schema, lambda _: known, operation, principal, RowLimit(1000)).statements
    return root


def test_a_flat_relation_is_read_as_it_is(schema: Schema) -> None:
    found = plan(
        schema,
        "{ orders(where: {total: {gt: 3.50}, placedAt: {isnull: false}}, "
        'orderBy: [{total: DESC}, {field: "id"}], limit: 5, offset: 2) { id total placedAt } }',
        FLAT,
        STORED,
    )
    assert found.sql == (
        "SELECT\n"
        '    (d."id")::text AS c0,\n'
        '    (d."total")::text AS c1,\n'
        '    d."placed_at" AS c2\n'
        'FROM (SELECT s.* FROM "va_order" AS s WHERE '
        "s.\"total\" > (SELECT current_setting('fraiseql.p1')::numeric) "
        'AND s."placed_at" IS NOT NULL '
        'ORDER BY s."total" DESC, (s."id")::text ASC LIMIT 5 OFFSET 2) AS d'
    )
    assert found.values == ("3.50",)


def test_a_document_is_projected_field_by_field(schema: Schema) -> None:
    found = plan(schema, '{ orders(where: {id: {in: ["a", "b"]}}) { id at: placedAt } }', STORED)
    assert found.sql == (
        "SELECT\n"
        "    (d.\"data\"->>'id') AS c0,\n"
        "    (d.\"data\"->>'placed_at') AS c1\n"
        'FROM (SELECT s.* FROM "tv_order" AS s WHERE (s."data"->>\'id\') = ANY '
        "(ARRAY(SELECT jsonb_array_elements_text("
        "(SELECT current_setting('fraiseql.p1')::jsonb))::text))) AS d"
    )
    assert found.values == ('["a","b"]',)


def test_a_document_that_is_built_is_built_once(schema: Schema) -> None:
    plain = plan(schema, "{ orders { id total } }", BUILT)
    assert plain.rows_sql == 'SELECT s.* FROM "v_order" AS s OFFSET 0'
    filtered = plan(schema, '{ orders(where: {id: {eq: "a"}}) { id total } }', BUILT)
    assert filtered.rows_sql == (
        'SELECT s.* FROM (SELECT * FROM "v_order" AS s OFFSET 0) AS s WHERE '
        "(s.\"data\"->>'id') = (SELECT current_setting('fraiseql.p1')::text)"
    )


def test_a_list_is_one_array_for_each_of_its_fields(schema: Schema) -> None:
    found = plan(schema, "{ orders { lines { count } } }", STORED)
    array = "CASE WHEN jsonb_typeof(d.\"data\"->'lines') = 'array' THEN d.\"data\"->'lines' END"
    assert found.sql.endswith(
        "LEFT JOIN LATERAL (SELECT array_agg(NULLIF(jsonb_typeof(e1.v), 'null') = 'object') AS a0, "
        "array_agg((e1.v->>'count')) AS a1 "
        f"FROM jsonb_array_elements({array}) AS e1(v)) AS l0 ON TRUE"
    )
    line = pa.struct([pa.field("count", pa.int32())])
    assert found.result.schema == pa.schema([pa.field("lines", pa.list_(line))])


def test_a_source_that_lacks_a_field_gives_way_to_the_next(schema: Schema) -> None:
    found = plan(schema, "{ orders { id lines { count } } }", FLAT, STORED)
    assert found.choice.source == "tv_order"
    assert found.choice.left_out == (
        "the flat relation va_order: va_order has no column for lines",
    )


def test_a_text_that_no_value_of_a_uuid_column_has_matches_nothing(schema: Schema) -> None:
    found = plan(schema, '{ orders(where: {id: {eq: "x"}}) { id } }', FLAT)
    assert found.rows_sql == 'SELECT s.* FROM "va_order" AS s WHERE FALSE'


def test_a_claim_is_bound_before_all_else(schema: Schema) -> None:
    principal = Principal(claims={"tenant": "t'; --"})
    found = plan(schema, "{ mine { id } }", FLAT, principal=principal)
    assert found.rows_sql == (
        'SELECT s.* FROM "va_order" AS s WHERE '
        "s.\"tenant_id\" = (SELECT current_setting('fraiseql.p1')::text)"
    )
    assert found.values == ("t'; --",)


@pytest.mark.parametrize("claims", [{}, {"tenant": None}, {"tenant": ["a"]}])
def test_without_the_claim_there_is_no_plan(schema: Schema, claims: dict[str, Any]) -> None:
    with pytest.raises(NotAuthorised, match="claim 'tenant'"):
        plan(schema, "{ mine { id } }", FLAT, principal=Principal(claims=claims))


@pytest.mark.parametrize(
    "query",
    [
        "{ orders { buyer { name } } }",
        '{ orders(where: {buyer: {name: {eq: "x"}}}) { id } }',
        '{ orders(where: {_not: {_or: [{buyer: {name: {eq: "x"}}}]}}) { id } }',
        '{ orders(orderBy: {field: "buyer.name"}) { id } }',
        "{ orders(orderBy: {buyer: {name: ASC}}) { id } }",
    ],
)
def test_a_type_that_needs_a_role_is_reached_by_no_way_around(schema: Schema, query: str) -> None:
    with pytest.raises(NotAuthorised, match="Buyer needs the role 'sales'"):
        plan(schema, query, STORED)
    assert plan(schema, query, STORED, principal=Principal(roles=frozenset(("sales",)))).sql


def test_a_column_s_name_is_quoted_whatever_it_is(schema: Schema) -> None:
    evil = 'a"; DROP TABLE x; --'
    source = Source(
        "va_order",
        "the flat relation",
        '"va_order"',
        {"id": ColumnInfo(evil, "text")},
        {},
        document=None,
        builds=False,
    )
    found = plan(schema, "{ orders { id } }", source)
    assert found.sql.startswith('SELECT\n    d."a""; DROP TABLE x; --" AS c0\n')
