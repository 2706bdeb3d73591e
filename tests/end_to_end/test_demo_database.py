"""The demo in PostgreSQL agrees with TPC-H, with its compiled schema and with its events."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import adbc_driver_postgresql.dbapi as dbapi
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from demo_tables import tables_of

from flight_service.graphql.schema.compiled import Compiled, Field, Ref, Type
from flight_service.graphql.schema.decoding import read
from local_stack.demo import COMPILED_SCHEMA, DemoError, on_database
from local_stack.demo.database import load
from local_stack.demo.history import history_of
from local_stack.demo.shop import make_shop, moments

SCALE = 0.01

TABLES = {
    "tb_region": "region",
    "tb_nation": "nation",
    "tb_supplier": "supplier",
    "tb_customer": "customer",
    "tb_part": "part",
    "tb_offer": "partsupp",
    "tb_order": "orders",
    "tb_line_item": "lineitem",
}
VIEWS = {
    "v_region": "tb_region",
    "v_nation": "tb_nation",
    "v_supplier": "tb_supplier",
    "v_customer": "tb_customer",
    "v_part": "tb_part",
    "v_order": "tb_order",
    "tv_order": "tb_order",
    "va_order": "tb_order",
    "v_line_item": "tb_line_item",
    "va_line_item": "tb_line_item",
    "va_customer": "tb_customer",
}
SCALARS: dict[str, tuple[type, ...]] = {
    "Int": (int,),
    "Float": (int, Decimal),
    "Decimal": (int, Decimal),
    "Boolean": (bool,),
    "JSON": (dict,),
}
"""What a scalar is in a document; all others are texts."""
COLUMNS = {
    "ID": {"uuid"},
    "Int": {"integer", "bigint"},
    "Decimal": {"numeric"},
    "Boolean": {"boolean"},
    "Date": {"date"},
    "DateTime": {"timestamp with time zone"},
}
"""What a scalar is as a column; all others are texts."""


@pytest.fixture(scope="module")
def tpch() -> dict[str, pa.Table]:
    return tables_of(SCALE)


@pytest.fixture(scope="module")
def demo_url(database_url: str, tpch: dict[str, pa.Table]) -> str:
    url = on_database(database_url, "demo")
    load(url, SCALE, tables=tpch)
    return url


@pytest.fixture(scope="module")
def cursor(demo_url: str) -> Iterator[dbapi.Cursor]:
    with dbapi.connect(demo_url) as connection, connection.cursor() as cursor:
        yield cursor


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return read(COMPILED_SCHEMA)


def rows(cursor: dbapi.Cursor, sql: str) -> list[tuple[Any, ...]]:
    cursor.execute(sql)
    return cursor.fetchall()


def documents(cursor: dbapi.Cursor, source: str, column: str, most: int = 200) -> list[Any]:
    found = rows(cursor, f"SELECT {column}::text FROM {source} ORDER BY id LIMIT {most}")
    return [json.loads(text, parse_float=Decimal) for (text,) in found]


@pytest.mark.parametrize(("table", "source"), TABLES.items())
def test_a_table_has_the_rows_of_tpch(
    cursor: dbapi.Cursor, tpch: dict[str, pa.Table], table: str, source: str
) -> None:
    assert rows(cursor, f"SELECT count(*) FROM {table}") == [(tpch[source].num_rows,)]


def test_amounts_and_days_are_those_of_tpch(
    cursor: dbapi.Cursor, tpch: dict[str, pa.Table]
) -> None:
    lines = tpch["lineitem"]
    [found] = rows(
        cursor,
        "SELECT sum(extended_price)::text, sum(discount)::text, max(receipt_date), "
        "count(*) FILTER (WHERE return_flag = 'R') FROM tb_line_item",
    )
    assert found == (
        str(pc.sum(lines["l_extendedprice"]).as_py()),
        str(pc.sum(lines["l_discount"]).as_py()),
        pc.max(lines["l_receiptdate"]).as_py(),
        pc.sum(pc.equal(lines["l_returnflag"], "R")).as_py(),
    )


@pytest.mark.parametrize(("view", "table"), VIEWS.items())
def test_a_view_shows_every_row_of_its_table(cursor: dbapi.Cursor, view: str, table: str) -> None:
    [(shown, distinct)] = rows(cursor, f"SELECT count(*), count(DISTINCT id) FROM {view}")
    assert [(shown,), (distinct,)] == rows(cursor, f"SELECT count(*) FROM {table}") * 2


def test_stored_documents_are_those_of_the_view(cursor: dbapi.Cursor) -> None:
    differing = (
        "SELECT count(*) FROM v_order AS v FULL JOIN tv_order AS t USING (id) "
        "WHERE v.data IS DISTINCT FROM t.data"
    )
    assert rows(cursor, differing) == [(0,)]


def test_documents_match_the_compiled_schema(cursor: dbapi.Cursor, compiled: Compiled) -> None:
    sources = {
        (query.sql_source, query.jsonb_column, query.return_type.name) for query in compiled.queries
    } | {(one.sql_source, one.jsonb_column, one.name) for one in compiled.types if one.sql_source}
    for source, column, name in sorted(sources, key=str):
        found = documents(cursor, str(source), str(column))
        assert found
        for document in found:
            of = document.get("__typename", name)
            check(compiled, of, document, f"{source}: {of}")


def check(compiled: Compiled, name: str, document: Any, place: str) -> None:
    """Every field of the type is in the document with the right JSON type, and none beside them."""
    [one] = [one for one in compiled.types if one.name == name]
    assert isinstance(document, dict), place
    assert set(document) - {"__typename"} == {snake(field.name) for field in one.fields}, place
    for field in one.fields:
        value, where = document[snake(field.name)], f"{place}.{field.name}"
        assert value is not None or field.nullable, where
        if value is not None:
            check_value(compiled, field.field_type, value, where)


def check_value(compiled: Compiled, ref: Ref, value: Any, place: str) -> None:
    enums = {e.name: {getattr(v, "name", v) for v in e.values} for e in compiled.enums}
    if ref.of is not None:
        assert isinstance(value, list), place
        for number, item in enumerate(value):
            check_value(compiled, ref.of, item, f"{place}[{number}]")
    elif ref.name in enums:
        assert value in enums[ref.name], place
    elif any(one.name == ref.name for one in compiled.types):
        check(compiled, ref.name, value, place)
    else:
        assert type(value) in SCALARS.get(ref.name, (str,)), place
        if ref.name == "DateTime":
            assert datetime.fromisoformat(value).tzinfo is not None, place


def flat(compiled: Compiled, one: Type) -> list[Field]:
    """The scalar fields."""
    objects = {other.name for other in compiled.types}
    return [f for f in one.fields if f.field_type.of is None and f.field_type.name not in objects]


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@pytest.mark.parametrize(
    ("view", "documents", "name"),
    [
        ("va_customer", "v_customer", "Customer"),
        ("va_order", "tv_order", "Order"),
        ("va_line_item", "v_line_item", "LineItem"),
    ],
)
def test_a_flat_view_has_every_scalar_as_a_typed_column(
    cursor: dbapi.Cursor, compiled: Compiled, view: str, documents: str, name: str
) -> None:
    [one] = [one for one in compiled.types if one.name == name]
    columns = dict(
        rows(
            cursor,
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_name = '{view}'",
        )
    )
    fields = flat(compiled, one)
    assert set(columns) == {snake(field.name) for field in fields}
    for field in fields:
        assert columns[snake(field.name)] in COLUMNS.get(field.field_type.name, {"text"})
    differing = " OR ".join(
        f"v.data -> '{snake(field.name)}' IS DISTINCT FROM "
        f"coalesce(to_jsonb(a.{snake(field.name)}), 'null')"
        for field in fields
    )
    found = rows(
        cursor,
        f"WITH v AS MATERIALIZED (SELECT id, data FROM {documents}) "
        f"SELECT count(*) FROM v JOIN {view} AS a USING (id) WHERE {differing}",
    )
    assert found == [(0,)]


def test_the_latest_events_equal_the_rows_of_the_database(
    cursor: dbapi.Cursor, tpch: dict[str, pa.Table]
) -> None:
    history = history_of(make_shop(tpch))
    start, stop = history.present - 2_000, history.present
    events = history.batch(start, stop, moments(history.moments(start, stop))).to_pylist()
    latest = {event["entity_id"]: event for event in events}
    views = {"Customer": "v_customer", "Order": "tv_order", "LineItem": "v_line_item"}
    compared = 0
    for kind, view in views.items():
        told = {i: json.loads(e["data"]) for i, e in latest.items() if e["entity_type"] == kind}
        ids = ", ".join(f"'{entity}'" for entity in told)
        for entity, text in rows(
            cursor, f"SELECT id::text, data::text FROM {view} WHERE id IN ({ids})"
        ):
            assert_contains(json.loads(text), told[entity])
            compared += 1
    assert compared == len(latest)


def assert_contains(shown: Any, told: Any) -> None:
    """An event's document is a part of the view's document."""
    if isinstance(told, dict):
        for key, value in told.items():
            assert_contains(shown[key], value)
    elif isinstance(told, str) and told.endswith("Z") and "T" in told[10:11]:
        assert datetime.fromisoformat(shown) == datetime.fromisoformat(told)
    else:
        assert shown == told


def test_a_loaded_demo_is_kept_and_one_of_another_scale_replaced(database_url: str) -> None:
    url = on_database(database_url, "demo_again")
    loaded = [load(url, scale, tables=tables_of(scale)) for scale in (0.001, 0.001, 0.002)]
    assert loaded == [True, False, True]
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        assert rows(cursor, "SELECT count(*) FROM tv_order") == [(3_000,)]


def test_other_tables_are_not_changed(database_url: str) -> None:
    url = on_database(database_url, "not_demo")
    load(url, 0.001, tables=tables_of(0.001))
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE demo_load")
    with pytest.raises(DemoError, match='relation "tb_region" already exists'):
        load(url, 0.001)
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        assert rows(cursor, "SELECT count(*) FROM tb_region") == [(5,)]


def test_an_unreachable_server_is_reported() -> None:
    with pytest.raises(DemoError, match="Connection refused"):
        load("postgresql://postgres@127.0.0.1:1/demo", 0.001)
