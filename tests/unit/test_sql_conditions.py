"""The gate of conditions and orders: columns, values and comparisons pass; nothing else does."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import Dialect
from flight_service.sql.conditions import Condition, read_condition, read_order

COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("created_at", pa.timestamp("us", "UTC")),
        ("born", pa.date32()),
        ("total", pa.decimal128(10, 2)),
        ("n", pa.int32()),
        ("x", pa.float64()),
        ("paid", pa.bool_()),
        ("tags", pa.list_(pa.string())),
    ]
)
DIALECTS: tuple[Dialect, ...] = ("clickhouse", "postgres")
NODES = (
    exp.And, exp.Or, exp.Not, exp.Paren, exp.Column, exp.Identifier, exp.EQ, exp.NEQ, exp.GT,
    exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike, exp.Is, exp.In, exp.Between, exp.Null,
    exp.Boolean,
)  # fmt: skip
"""All that a condition that was read consists of."""


def read(text: str, dialect: Dialect = "postgres") -> Condition:
    return read_condition(text, COLUMNS, dialect)


def shape(text: str) -> str:
    """The condition as SQL, its values as `?`."""
    found = read(text)
    sql = found.tree.sql("postgres")
    for one in found.parameters:
        sql = sql.replace(f'"{one.mark}"', "?")
    return sql.replace('"', "")


@pytest.mark.parametrize(
    ("text", "sql", "values"),
    [
        ("created_at > '2026-01-01'", "created_at > ?", [datetime(2026, 1, 1, tzinfo=UTC)]),
        (
            "created_at <= '2026-01-01T12:00:00+02:00'",
            "created_at <= ?",
            [datetime(2026, 1, 1, 10, tzinfo=UTC)],
        ),
        ("born = date '2026-01-31'", "born = ?", [date(2026, 1, 31)]),
        ("n between 1 and 5 and not paid", "n BETWEEN ? AND ? AND (NOT paid)", [1, 5]),
        ("n not between 1 and 5", "NOT n BETWEEN ? AND ?", [1, 5]),
        ("id in ('a', 'b') or id is not null", "id IN (?, ?) OR (NOT id IS NULL)", ["a", "b"]),
        ("id not in ('a')", "NOT id IN (?)", ["a"]),
        ("id like 'a%' and id not ilike 'B_'", "id LIKE ? AND (NOT id ILIKE ?)", ["a%", "B_"]),
        ("n <> -5", "n <> ?", [-5]),
        ("5 < n", "? < n", [5]),
        ("n > 1.5", "n > ?", [Decimal("1.5")]),
        ("total >= 19.90", "total >= ?", [Decimal("19.90")]),
        ("x = 1e3", "x = ?", [1000.0]),
        ("(n = 1 or n = 2) and paid = true", "(n = ? OR n = ?) AND paid = ?", [1, 2, True]),
        ("paid is false", "paid IS FALSE", []),
        ("tags is null", "tags IS NULL", []),
        ("n = x", "n = x", []),
        ("\"n\" = 1 and ID = 'it''s'", "n = ? AND id = ?", [1, "it's"]),
        ("n = 1 -- a comment", "n = ?", [1]),
    ],
)
def test_comparisons_of_columns_with_values_are_accepted(
    text: str, sql: str, values: list[Any]
) -> None:
    assert shape(text) == sql
    assert list(read(text).binding.rows[0]) == values


REFUSED = [
    "",
    " ",
    "1 = 1",
    "true",
    "n",
    "n = 1; DROP TABLE orders",
    "n = 1 LIMIT 5",
    "n = 1 UNION SELECT 1",
    "n = 1 ORDER BY n",
    "n = 1) OR (1 = 1",
    "n = (SELECT 1)",
    "n IN (SELECT 1)",
    "n IN (1, (SELECT 2))",
    "n IN orders",
    "n IN (n)",
    "EXISTS (SELECT 1)",
    "n = 1 AND (SELECT true)",
    "created_at > now()",
    "lower(id) = 'a'",
    "pg_sleep(10) IS NULL",
    "pg_read_file('/etc/passwd') = id",
    "sleep(3) = n",
    "id = file('/etc/passwd')",
    "dictGet('d', 'a', n) = 1",
    "n::text = '1'",
    "CAST(n AS text) = '1'",
    "id::regclass = 'pg_authid'",
    "n + 1 = 2",
    "id || 'a' = 'b'",
    "orders.n = 1",
    "public.orders.n = 1",
    "other = 1",
    "n = NULL",
    "n IN (1, NULL)",
    "n = ?",
    "n = $1",
    "n = {x:Int32}",
    "id ~ 'a'",
    "id SIMILAR TO 'a'",
    "id LIKE 'a' ESCAPE '!'",
    "id LIKE ANY (ARRAY['a'])",
    "id = ANY (ARRAY['a'])",
    "id COLLATE \"C\" = 'a'",
    "id = 'a' COLLATE \"C\"",
    "CASE WHEN paid THEN true ELSE false END",
    "COALESCE(paid, true)",
    "(n, x) = (1, 2)",
    "id < 5",
    "n = 'many'",
    "n LIKE '1%'",
    "tags = 'a'",
    "created_at = 'soon'",
    "born = '2026-02-30'",
    "n = 1e99",
    "n OPERATOR(pg_catalog.=) 1",
    "id = E'\\x41'",
    "id = U&'\\0041'",
    "n IS DISTINCT FROM 1",
    "row_number() OVER () = 1",
    "current_user = id",
    "n BETWEEN (SELECT 1) AND 2",
    "id = 'a\0'",
    "created_at > '0001-01-01T00:00:00+14:00'",
    "(" * 5000 + "n = 1" + ")" * 5000,
    " AND ".join(["n = 1"] * 2000),
    "n = 1 " * 5000,
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
def test_other_expressions_are_refused(text: str, dialect: Dialect) -> None:
    with pytest.raises(InvalidRequest):
        read(text, dialect)


WORDS = st.sampled_from(
    ["n", "id", "paid", "other", "1", "'a'", "-", "(", ")", ",", "=", "<>", "<", "AND", "OR", "NOT",
     "IN", "BETWEEN", "LIKE", "IS", "NULL", "SELECT", "FROM", "UNION", "now", "pg_sleep", ";", "--",
     "/*", "*/", "::", "text", "CASE", "WHEN", "THEN", "END", "EXISTS", "ANY", "ARRAY", "[", "]",
     "true", ".", "*", "?", "$1", "LIMIT", "INTO", "FORMAT", "SETTINGS", "COLLATE", "||",
     "\\", '"'],
)  # fmt: skip


@given(st.lists(WORDS, max_size=15).map(" ".join), st.sampled_from(DIALECTS))
def test_an_accepted_condition_has_only_columns_and_parameters(text: str, dialect: Dialect) -> None:
    try:
        found = read(text, dialect)
    except InvalidRequest:
        return
    marks = {one.mark for one in found.parameters}
    for node in found.tree.walk():
        assert type(node) in NODES, text
        if isinstance(node, exp.Column):
            assert node.name in marks or node.name in COLUMNS.names
            assert node.this.args["quoted"]
        # Nothing of the client's text is left in the tree but names of columns.
        assert not node.comments


@given(st.text(max_size=60), st.sampled_from(DIALECTS))
def test_any_text_is_parsed_or_refused(text: str, dialect: Dialect) -> None:
    for reader in (read_condition, read_order):
        try:
            reader(text, COLUMNS, dialect)
        except InvalidRequest:
            continue


@given(st.text().filter(lambda text: "\0" not in text))
def test_a_string_is_always_bound_as_a_value(value: str) -> None:
    literal = value.replace("'", "''")
    if len(literal) < 10_000:
        assert read(f"id = '{literal}'").binding.rows == ((value,),)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("created_at DESC", ["created_at DESC"]),
        ("id, n asc, x desc", ["id ASC", "n ASC", "x DESC"]),
        ("n nulls first, x desc nulls last", ["n ASC NULLS FIRST", "x DESC NULLS LAST"]),
        ("N", ["n ASC"]),
    ],
)
def test_an_order_is_a_list_of_columns(text: str, sql: list[str]) -> None:
    keys = read_order(text, COLUMNS, "postgres")
    assert [key.sql("postgres").replace('"', "") for key in keys] == sql


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text",
    ["", "1", "other", "lower(id)", "n + 1", "(SELECT 1)", "n LIMIT 1", "n DESC OFFSET 5",
     "n; DROP", "n USING >", "n WITH FILL", 'id COLLATE "C"', "n FOR UPDATE", "orders.n",
     "random()", "CASE WHEN paid THEN 1 END", "n UNION SELECT 1"],
)  # fmt: skip
def test_an_order_by_anything_else_is_refused(text: str, dialect: Dialect) -> None:
    with pytest.raises(InvalidRequest):
        read_order(text, COLUMNS, dialect)


def test_an_unknown_column_is_refused_with_the_known_columns() -> None:
    with pytest.raises(InvalidRequest, match=r"no column 'other'. There are: id, created_at"):
        read("other = 1")
