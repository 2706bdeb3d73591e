"""Fields of several words, on databases that FraiseQL's tools created and on others."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from graphql_shop import AUTO, field, write_schema
from pydantic import SecretStr

from flight_service.authentication import Principal
from flight_service.graphql.errors import BadDocument
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

SCHEMA = "graphql_keys"
SQL = """
DROP SCHEMA IF EXISTS graphql_keys CASCADE;
CREATE SCHEMA graphql_keys;
SET search_path = graphql_keys;
CREATE TABLE tb_order
    (pk int, tenant_id text, is_paid bool, phone_1 text, s3_key text, lines jsonb);
INSERT INTO tb_order SELECT n, 't' || n % 2, n % 2 = 0, '0' || n, 's3://' || n,
    jsonb_build_array(jsonb_build_object('unit_price', n, 'sold_by', jsonb_build_object(
        'first_name', 'Ann ' || n))) FROM generate_series(1, 6) AS n;
CREATE VIEW v_built AS SELECT pk, jsonb_build_object('id', pk, 'tenant_id', tenant_id,
    'is_paid', is_paid, 'phone_1', phone_1, 's3_key', s3_key, 'order_lines', lines,
    'best_line', jsonb_build_object('unit_price', pk, 'sold_by', lines->0->'sold_by')) AS data
    FROM tb_order;
CREATE TABLE tv_stored AS SELECT pk, data FROM v_built;
CREATE VIEW v_passed AS SELECT pk, data FROM tv_stored UNION ALL SELECT pk, data FROM tv_stored
    WHERE false;
CREATE VIEW v_flat AS SELECT data FROM v_built;
CREATE TABLE ta_flat AS SELECT pk AS id, tenant_id, is_paid, phone_1, s3_key, lines AS order_lines,
    jsonb_build_object('unit_price', pk, 'sold_by', lines->0->'sold_by') AS best_line FROM tb_order;
CREATE TABLE tv_literal AS SELECT pk, jsonb_build_object('id', pk, 'tenantId', tenant_id,
    'isPaid', is_paid, 'phone1', phone_1, 's3Key', s3_key, 'orderLines', jsonb_build_array(
        jsonb_build_object('unitPrice', pk, 'soldBy', jsonb_build_object('firstName',
        'Ann ' || pk))),
    'bestLine', jsonb_build_object('unitPrice', pk, 'soldBy', jsonb_build_object('firstName',
        'Ann ' || pk))) AS data FROM tb_order;
CREATE VIEW v_mixed AS SELECT pk, jsonb_build_object('id', pk, 'tenant_id', tenant_id,
    'isPaid', is_paid, 'phone_1', phone_1, 's3_key', s3_key, 'orderLines',
    (SELECT jsonb_agg(line) FROM jsonb_array_elements(lines) AS line),
    'best_line', jsonb_build_object('unitPrice', pk, 'sold_by', lines->0->'sold_by')) AS data
    FROM tb_order;
CREATE TABLE tv_late (pk int, data jsonb);
"""
SOURCES = ("v_built", "tv_stored", "v_passed", "v_flat", "tv_literal", "v_mixed", "tv_late")


def query(source: str) -> dict[str, Any]:
    return {
        "name": source,
        "return_type": "Order",
        "returns_list": True,
        "sql_source": f"{SCHEMA}.{source}",
        "auto_params": AUTO,
        "arguments": [
            {"name": "isPaid", "arg_type": "Boolean", "nullable": True},
            {"name": "s3Key", "arg_type": "String", "nullable": True},
        ],
    }


COMPILED = {
    "types": [
        {
            "name": "Order",
            "fields": [
                field("id", "Int", nullable=False),
                field("isPaid", "Boolean"),
                field("phone1", "String"),
                field("s3Key", "String"),
                field("orderLines", {"List": {"Object": "Line"}}),
                field("bestLine", {"Object": "Line"}),
            ],
        },
        {
            "name": "Line",
            "fields": [field("unitPrice", "Int"), field("soldBy", {"Object": "Seller"})],
        },
        {"name": "Seller", "fields": [field("firstName", "String")]},
    ],
    "queries": [
        *map(query, SOURCES),
        *(
            query(source)
            | {"name": f"mine_{source}"}
            | {"inject_params": {"tenant_id": {"source": "jwt", "claim": "tenant"}}}
            for source in SOURCES
        ),
    ],
}
FIELDS = """id isPaid phone1 s3Key orderLines { unitPrice soldBy { firstName } }
    bestLine { unitPrice soldBy { firstName } }"""
FILLED = [one for one in SOURCES if one != "tv_late"]


@pytest.fixture(scope="module")
def execute(database_url: str) -> Iterator[Callable[[str], object]]:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for statement in SQL.split(";\n"):
            if statement.strip():
                run.execute(statement)
        yield run.execute
        run.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.fixture
def graphql(
    execute: Callable[[str], object], database_url: str, tmp_path: Path
) -> Iterator[GraphQL]:
    path = write_schema(tmp_path, COMPILED)
    made = GraphQL(Settings(database_url=SecretStr(database_url), schema_path=path))
    yield made
    made.close()


def rows(graphql: GraphQL, text: str, **claims: Any) -> list[Any]:
    """The rows over Arrow; asserts that JSON has the same."""
    prepared = graphql.prepare(Request(text), Principal(claims=claims))
    table = pa.Table.from_batches(graphql.batches(prepared), graphql.schema(prepared))
    shown = json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}")
    assert [*shown.values()] == [table.to_pylist()]
    return table.to_pylist()


def order(number: int) -> dict[str, Any]:
    line = {"unitPrice": number, "soldBy": {"firstName": f"Ann {number}"}}
    return {
        "id": number,
        "isPaid": number % 2 == 0,
        "phone1": f"0{number}",
        "s3Key": f"s3://{number}",
        "orderLines": [line],
        "bestLine": line,
    }


@pytest.mark.parametrize("source", FILLED)
def test_fields_are_read_from_their_keys(graphql: GraphQL, source: str) -> None:
    found = rows(graphql, f"{{ {source}(orderBy: {{id: ASC}}) {{ {FIELDS} }} }}")
    assert found == [order(number) for number in range(1, 7)]


@pytest.mark.parametrize("source", FILLED)
@pytest.mark.parametrize(
    "arguments",
    [
        "where: {isPaid: {eq: true}}, orderBy: {id: ASC}",
        'where: {_and: [{isPaid: {eq: true}}]}, orderBy: [{field: "phone1", direction: ASC}]',
        "isPaid: true, orderBy: {s3Key: ASC}",
        "where: {_not: {isPaid: {neq: true}}}, orderBy: {bestLine: {soldBy: {firstName: ASC}}}",
        "where: {isPaid: {eq: true}, bestLine: {unitPrice: {gte: 0}}}, "
        'orderBy: [{field: "bestLine.unitPrice"}]',
    ],
)
def test_filters_and_orders_use_the_keys(graphql: GraphQL, source: str, arguments: str) -> None:
    assert [one["id"] for one in rows(graphql, f"{{ {source}({arguments}) {{ id }} }}")] == [
        2,
        4,
        6,
    ]


# The other documents have the tenant under another key than the parameter's.
@pytest.mark.parametrize("source", [one for one in FILLED if one != "tv_literal"])
def test_a_claim_filters_rows_by_the_key(graphql: GraphQL, source: str) -> None:
    text = f"{{ mine_{source}(orderBy: {{id: ASC}}) {{ id }} }}"
    assert [one["id"] for one in rows(graphql, text, tenant="t1")] == [1, 3, 5]


def test_keys_are_found_after_documents_appear(
    graphql: GraphQL, execute: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]
    monkeypatch.setattr("flight_service.graphql.sources.registry.monotonic", lambda: passed[0])
    text = "{ tv_late { id isPaid } }"
    assert rows(graphql, text) == []
    execute(f"INSERT INTO {SCHEMA}.tv_late SELECT pk, data FROM {SCHEMA}.tv_literal WHERE pk = 2")
    passed[0] += 2
    assert rows(graphql, text) == [{"id": 2, "isPaid": True}]
    execute(f"TRUNCATE {SCHEMA}.tv_late")


def test_a_number_beyond_32_bits_widens_its_field(
    graphql: GraphQL, execute: Callable[[str], object]
) -> None:
    document = json.dumps({"id": 2**40, "order_lines": [{"unit_price": 1}, {"unit_price": 2**41}]})
    execute(f"INSERT INTO {SCHEMA}.tv_late SELECT 1, '{document}'")
    try:
        text = "{ tv_late { id orderLines { unitPrice } } }"
        prices = [{"unitPrice": 1}, {"unitPrice": 2**41}]
        assert rows(graphql, text) == [{"id": 2**40, "orderLines": prices}]
    finally:
        execute(f"TRUNCATE {SCHEMA}.tv_late")


def test_a_wide_number_outside_the_sample_is_an_error_with_its_path(
    graphql: GraphQL, execute: Callable[[str], object]
) -> None:
    # Two hundred small numbers precede it, of which a hundred are sampled.
    execute(
        f"INSERT INTO {SCHEMA}.tv_late SELECT n, jsonb_build_object('id', n, 'best_line', "
        "jsonb_build_object('unit_price', CASE n WHEN 200 THEN 1 + (1::bigint << 31) ELSE 1 END)) "
        "FROM generate_series(0, 200) AS n"
    )
    try:
        text = "{ tv_late(orderBy: {id: ASC}) { bestLine { unitPrice } } }"
        with pytest.raises(BadDocument) as error:
            rows(graphql, text)
        assert error.value.path == ("tv_late", 200, "bestLine", "unitPrice")
    finally:
        execute(f"TRUNCATE {SCHEMA}.tv_late")
