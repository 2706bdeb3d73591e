"""Generated documents and columns: a query returns their values, or an error that locates them.

A document is generated member by member, each with what a reader must find: a value, or a failure
that names the path and the row. No value may come out as another, and nothing may fail in any other
way. `NUL` is not generated: no JSONB can hold it.

The generator of documents is part of it, so the file is longer than others.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from flight_service.authentication import ANYONE
from flight_service.graphql.errors import BadDocument
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

SCHEMA = "graphql_documents"
SCALARS = {
    "text": "String",
    "whole": "Int",
    "number": "Float",
    "exact": "Decimal",
    "flag": "Boolean",
    "at": "DateTime",
    "day": "Date",
    "clock": "Time",
    "uuid": "UUID",
    "any": "Json",
}
LISTS = {f"{name}s": {"List": scalar} for name, scalar in SCALARS.items() if name != "any"}
FIELDS = [
    shop.field("id", "Int", nullable=False),
    shop.field("needed", "String", nullable=False),
    *(shop.field(name, kind) for name, kind in {**SCALARS, **LISTS}.items()),
    shop.field("inner", {"Object": "Thing"}),
    shop.field("many", {"List": {"Object": "Thing"}}),
]
COLUMNS = {"at": "timestamptz", "plain": "timestamp", "day": "date", "clock": "time"}
ODD = [
    shop.field("id", "Int", nullable=False),
    shop.field("at", "DateTime"),
    shop.field("plain", "DateTime"),
    shop.field("day", "Date"),
    shop.field("clock", "Time"),
    shop.field("ats", {"List": "DateTime"}),
    shop.field("exact", "Decimal"),
    shop.field("number", "Float"),
]


def query(name: str, of: str) -> dict[str, Any]:
    more = {"returns_list": True, "sql_source": f"{SCHEMA}.{name}", "auto_params": shop.AUTO}
    return {"name": name, "return_type": of, **more}


COMPILED = {
    "types": [{"name": "Thing", "fields": FIELDS}, {"name": "Odd", "fields": ODD}],
    "queries": [query("tv_thing", "Thing"), query("v_odd", "Odd")],
}
SQL = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.tv_thing (n int, data jsonb);
CREATE TABLE {SCHEMA}.tb_odd (id int, at timestamptz, plain timestamp, day date, clock time,
    ats timestamptz[], exact numeric, number float8);
CREATE VIEW {SCHEMA}.va_odd AS SELECT * FROM {SCHEMA}.tb_odd;
CREATE VIEW {SCHEMA}.v_odd AS SELECT jsonb_build_object('id', id, 'at', at, 'plain', plain,
    'day', day, 'clock', clock, 'ats', ats, 'exact', exact, 'number', number) AS data
FROM {SCHEMA}.tb_odd
"""


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[postgresql.Connection]:
    with postgresql.connect(database_url, autocommit=True) as one:
        with one.cursor() as run:
            for statement in SQL.split(";\n"):
                run.execute(statement)
        yield one


@pytest.fixture(scope="module")
def graphql(
    connection: postgresql.Connection, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GraphQL]:
    path = shop.write_schema(tmp_path_factory.mktemp("schema"), COMPILED)
    made = GraphQL(Settings(database_url=SecretStr(database_url), schema_path=path, batch_rows=2))
    yield made
    made.close()


@dataclass(frozen=True)
class Value:
    """A value in a document, as JSON, and the value that a query returns."""

    json: str
    arrow: Any = None
    http: Any = None


@dataclass(frozen=True)
class Wrong:
    """A value without the field's type; `path` is its path in the field."""

    json: str
    path: str = ""


Held = Value | Wrong
NOTHING = Value("null")


def of(json_value: Any, arrow: Any = None, http: Any = None) -> Value:
    """A value that is returned as it is stored, unless `read` says otherwise."""
    arrow = json_value if arrow is None else arrow
    return Value(json.dumps(json_value), arrow, json_value if http is None else http)


def text(value: Any) -> Value:
    """A value whose text can be cast to the type."""
    shown = value.isoformat(timespec="microseconds") if hasattr(value, "hour") else str(value)
    shown = shown.replace("+00:00", "Z")
    return Value(json.dumps(shown), value, shown)


def exact(value: Decimal) -> Value:
    return Value(f"{value:f}", value, value)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
COMPOSITE = [Wrong("{}"), Wrong("[]"), Wrong('{"a": [1]}'), Wrong('["x", null]')]
INSTANTS = st.datetimes(timezones=st.just(UTC))
GOOD: dict[str, st.SearchStrategy[Value]] = {
    "text": TEXT.map(of)
    | st.sampled_from(
        [Value('"\\ud83d\\ude00 \\u2028"', "😀 \u2028", "😀 \u2028"), Value("true", "true", "true")]
    ),
    "whole": st.integers(-(2**31), 2**31 - 1).map(of)
    | st.sampled_from([of(2**31 - 1), of("7", 7, 7)]),
    "number": st.floats(allow_nan=False, allow_infinity=False).map(of),
    "exact": st.decimals(
        -(10**28) + 1, 10**28 - 1, allow_nan=False, allow_infinity=False, places=10
    ).map(exact),
    "flag": st.booleans().map(of),
    "at": INSTANTS.map(text),
    "day": st.dates().map(text),
    "clock": st.times().map(text),
    "uuid": st.uuids().map(text).map(lambda one: Value(one.json, one.http, one.http)),
    "any": st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ).map(of),
}
BAD: dict[str, list[Wrong]] = {
    "text": COMPOSITE,
    "whole": [
        *COMPOSITE,
        *map(Wrong, ('"twelve"', "1.5", "true", f"{2**31}", f"{-(2**31) - 1}", "1e400", '""')),
    ],
    "number": [*COMPOSITE, *map(Wrong, ("1e309", "-1e309", '"x"', "false", '""'))],
    "exact": [*COMPOSITE, *map(Wrong, (f"{10**28}", "1e-11", '"NaN"', '"Infinity"', '"1,5"'))],
    "flag": [*COMPOSITE, *map(Wrong, ("2", "1.0", '"perhaps"', '""'))],
    "at": [
        *COMPOSITE,
        *map(Wrong, ('"infinity"', '"-infinity"', '"0001-01-01T00:00:00Z BC"', '"10000-01-01"')),
        *map(Wrong, ('"yesterweek"', '"2026-02-30"', "5", '""')),
    ],
    "day": [*COMPOSITE, *map(Wrong, ('"infinity"', '"0044-03-15 BC"', '"10000-01-01"', "true"))],
    "clock": [*COMPOSITE, *map(Wrong, ('"24:00:00"', '"25:00"', '"late"', "1"))],
}


def held(name: str, flawed: bool) -> st.SearchStrategy[Held]:
    """A value of a scalar field; in a flawed document, one in twenty has another type."""
    good = GOOD[name] | st.just(NOTHING)
    if not flawed or name not in BAD:
        return good
    return st.integers(0, 19).flatmap(lambda n: good if n else st.sampled_from(BAD[name]))


@st.composite
def lists(draw: st.DrawFn, name: str, flawed: bool) -> Held:
    parts = draw(st.lists(held(name, flawed), max_size=3))
    shown = f"[{', '.join(one.json for one in parts)}]"
    if any(isinstance(one, Wrong) for one in parts):
        return Wrong(shown)
    return Value(
        shown,
        [one.arrow for one in parts if isinstance(one, Value)],
        [one.http for one in parts if isinstance(one, Value)],
    )


@dataclass(frozen=True)
class Document:
    """A document's JSON, and the values that a query returns for the selection."""

    json: str
    arrow: dict[str, Any]
    http: dict[str, Any]
    wrong: tuple[str, ...]
    """The paths of values without their type."""


@st.composite
def documents(draw: st.DrawFn, flawed: bool, depth: int = 0) -> Document:
    members: dict[str, Held | None] = {}
    for name in SCALARS:
        if draw(st.booleans()):
            members[name] = draw(held(name, flawed))
        if name != "any" and draw(st.integers(0, 3)) == 0:
            members[f"{name}s"] = draw(lists(name, flawed))
    needed = draw(st.integers(0, 19)) if flawed else 2
    members["needed"] = None if needed == 0 else NOTHING if needed == 1 else of("n")
    parts = {name: one.json for name, one in members.items() if one is not None}
    arrow = {
        name: getattr(members.get(name), "arrow", None) for name in [*SCALARS, *LISTS, "needed"]
    }
    http = {name: getattr(members.get(name), "http", None) for name in [*SCALARS, *LISTS, "needed"]}
    wrong = [name for name, one in members.items() if isinstance(one, Wrong)]
    wrong += ["needed"] if needed < 2 else []
    if depth < 1:
        inner = draw(st.none() | documents(flawed, depth + 1) | st.just(5))
        many = draw(st.lists(st.none() | documents(flawed, depth + 1), max_size=2))
        arrow["inner"] = http["inner"] = None
        if isinstance(inner, Document):
            parts["inner"] = inner.json
            arrow["inner"], http["inner"] = inner.arrow, inner.http
            wrong += [f"inner.{one}" for one in inner.wrong]
        elif inner == 5 and flawed:
            parts["inner"] = "5"
            wrong.append("inner")
        parts["many"] = f"[{', '.join('null' if one is None else one.json for one in many)}]"
        arrow["many"] = [one and one.arrow for one in many]
        http["many"] = [one and one.http for one in many]
        for number, one in enumerate(many):
            wrong += [f"many.{number}.{path}" for path in one.wrong] if one else []
    shown = ", ".join(f"{json.dumps(name)}: {one}" for name, one in parts.items())
    return Document(f"{{{shown}}}", arrow, http, tuple(wrong))


NAMES = " ".join([*SCALARS, *LISTS, "needed"])
QUERY = f"{{ tv_thing(orderBy: {{id: ASC}}) {{ {NAMES} inner {{ {NAMES} }} many {{ {NAMES} }} }} }}"


def put(connection: postgresql.Connection, found: list[Document]) -> None:
    rows = ", ".join(f'{{"id": {n}, {one.json[1:]}' for n, one in enumerate(found))
    with connection.cursor() as run:
        run.execute(f"TRUNCATE {SCHEMA}.tv_thing")
        run.execute(
            f"INSERT INTO {SCHEMA}.tv_thing SELECT 0, d FROM jsonb_array_elements($1::jsonb) AS d",
            (f"[{rows}]",),
        )


def arrow_of(graphql: GraphQL, text: str) -> list[dict[str, Any]]:
    prepared = graphql.prepare(Request(text), ANYONE)
    return pa.Table.from_batches(graphql.batches(prepared), graphql.schema(prepared)).to_pylist()


def json_of(graphql: GraphQL, text: str) -> Any:
    prepared = graphql.prepare(Request(text), ANYONE)
    return json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}", parse_float=Decimal)


def plain(value: Any) -> Any:
    """Numbers as decimals."""
    match value:
        case dict():
            return {key: plain(one) for key, one in value.items()}
        case list():
            return [plain(one) for one in value]
        case float():
            return Decimal(repr(value))
    return value


def parsed(value: Any) -> Any:
    """Decodes the JSON text in an Arrow value."""
    match value:
        case dict():
            return {
                key: json.loads(one) if key == "any" and one is not None else parsed(one)
                for key, one in value.items()
            }
        case list():
            return [parsed(one) for one in value]
    return value


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.booleans().flatmap(lambda flawed: st.lists(documents(flawed), min_size=1, max_size=4)))
def test_values_of_documents_are_returned_or_are_an_error_with_their_path(
    graphql: GraphQL, connection: postgresql.Connection, found: list[Document]
) -> None:
    put(connection, found)
    wrong = {(row, path) for row, one in enumerate(found) for path in one.wrong}
    if not wrong:
        assert plain(parsed(arrow_of(graphql, QUERY))) == plain([one.arrow for one in found])
        assert plain(json_of(graphql, QUERY)["tv_thing"]) == plain([one.http for one in found])
        return
    for read in (arrow_of, json_of):
        with pytest.raises(BadDocument) as refused:
            read(graphql, QUERY)
        assert refused.value.path is not None
        root, row, *path = refused.value.path
        assert root == "tv_thing"
        # If PostgreSQL refuses a value in a list, the error has only the list's path.
        told = ".".join(str(one) for one in path)
        assert any(row == at and within(told, where) for at, where in wrong), (told, wrong)


def within(told: str, where: str) -> bool:
    """Whether an error's path is wrong, apart from list indexes."""
    return [one for one in told.split(".") if not one.isdigit()] == [
        one for one in where.split(".") if not one.isdigit()
    ]


BEYOND = [
    ("at", "'infinity'", "at: infinity is beyond the years 1 to 9999"),
    ("at", "'-infinity'", "at: -infinity is beyond the years 1 to 9999"),
    ("at", "'294276-12-31'", "at: its value is beyond the years 1 to 9999"),
    ("at", "'0001-01-01T00:00:00Z BC'", "at: its value is beyond the years 1 to 9999"),
    ("at", "'10000-01-01T00:00:00Z'", "at: its value is beyond the years 1 to 9999"),
    ("plain", "'infinity'", "plain: infinity is beyond the years 1 to 9999"),
    ("day", "'infinity'", "day: infinity is beyond the years 1 to 9999"),
    ("day", "'-infinity'", "day: -infinity is beyond the years 1 to 9999"),
    ("day", "'5874897-12-31'", "day: its value is beyond the years 1 to 9999"),
    ("day", "'0044-03-15 BC'", "day: its value is beyond the years 1 to 9999"),
    ("clock", "'24:00:00'", "clock: its value is beyond 23:59:59.999999"),
    (
        "ats",
        "ARRAY[NULL, 'infinity'::timestamptz]",
        "ats.1: infinity is beyond the years 1 to 9999",
    ),
    ("exact", "'NaN'", "exact: 'NaN' does not fit decimal128(38, 10)"),
    ("exact", "'Infinity'", "exact: 'Infinity' does not fit decimal128(38, 10)"),
    ("exact", "'1e28'", "exact: '10000000000000000000000000000' does not fit decimal128(38, 10)"),
]
EDGES = [
    ("at", "'0001-01-01T00:00:00Z'", datetime.min.replace(tzinfo=UTC)),
    ("at", "'9999-12-31T23:59:59.999999Z'", datetime.max.replace(tzinfo=UTC)),
    ("plain", "'9999-12-31T23:59:59.999999'", datetime.max.replace(tzinfo=UTC)),
    ("day", "'0001-01-01'", date.min),
    ("day", "'9999-12-31'", date.max),
    ("clock", "'23:59:59.999999'", time.max),
    (
        "exact",
        "'-9999999999999999999999999999.9999999999'",
        Decimal("-" + "9" * 28 + "." + "9" * 10),
    ),
    ("number", "'5e-324'", 5e-324),
    ("number", "'1.7976931348623157e308'", 1.7976931348623157e308),
]


@pytest.fixture
def odd(connection: postgresql.Connection) -> Any:
    """Puts a value into a column of the third of five rows."""

    def insert(column: str, sql: str) -> None:
        with connection.cursor() as run:
            run.execute(f"TRUNCATE {SCHEMA}.tb_odd")
            run.execute(f"INSERT INTO {SCHEMA}.tb_odd SELECT n FROM generate_series(0, 4) AS n")
            run.execute(f"UPDATE {SCHEMA}.tb_odd SET {column} = {sql} WHERE id = 2")

    return insert


@pytest.mark.parametrize(("column", "sql", "why"), BEYOND)
def test_a_value_that_arrow_cannot_represent_is_an_error_with_path_and_row(
    graphql: GraphQL, odd: Any, column: str, sql: str, why: str
) -> None:
    odd(column, sql)
    for read in (arrow_of, json_of):
        with pytest.raises(BadDocument) as refused:
            read(graphql, f"{{ v_odd(orderBy: {{id: ASC}}) {{ {column} }} }}")
        assert str(refused.value) == f"v_odd, row 2, {why}"


@pytest.mark.parametrize(("column", "sql", "value"), EDGES)
def test_values_at_the_limits_of_their_types_are_returned(
    graphql: GraphQL, odd: Any, column: str, sql: str, value: Any
) -> None:
    odd(column, sql)
    query = f"{{ v_odd(orderBy: {{id: ASC}}) {{ {column} }} }}"
    assert [row[column] for row in arrow_of(graphql, query)] == [None, None, value, None, None]
    shown = json_of(graphql, query)["v_odd"][2][column]
    assert plain(shown) == plain(
        json.loads(text(value).json) if hasattr(value, "isoformat") else value
    )
