"""Flight SQL with its standard client ADBC, over the service in its own process.

All tests share one service over two engines, so the file is longer than others.
"""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import graphql_shop as shop
import polars as pl
import pyarrow as pa
import pytest
from flights import Service
from sql_service import COOKIES, DAY, ROWS, adbc, sql_service

from fraiseql_assets.analytics.schemas import SCHEMAS

AUTHORS = f"{shop.SCHEMA}.v_author"


@pytest.fixture(scope="module")
def filled(
    clickhouse_url: str, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, pa.Table]]:
    shop.create(database_url)
    folder = tmp_path_factory.mktemp("schema")
    with sql_service(clickhouse_url, database_url, folder) as found:
        yield found


@pytest.fixture(scope="module")
def service(filled: tuple[Service, pa.Table]) -> Service:
    return filled[0]


@pytest.fixture(scope="module")
def connection(service: Service) -> Iterator[flightsql.Connection]:
    with adbc(service) as connection:
        yield connection


def table(connection: flightsql.Connection, sql: str, parameters: Any = None) -> pa.Table:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table()


def only(connection: flightsql.Connection, sql: str, parameters: Any = None) -> Any:
    """The one value of a result."""
    found = table(connection, sql, parameters)
    assert (found.num_rows, found.num_columns) == (1, 1)
    return found[0][0].as_py()


def test_a_statement_without_relations_is_answered(connection: flightsql.Connection) -> None:
    assert only(connection, "select 1") == 1


def test_events_are_read_in_the_schema_of_the_asset(
    connection: flightsql.Connection, filled: tuple[Service, pa.Table]
) -> None:
    found = table(connection, "SELECT * FROM fraiseql_events")
    events = filled[1]
    assert found.schema.equals(SCHEMAS["analytics/events"])
    assert found.sort_by("stream_seq").equals(events.sort_by("stream_seq"))


@pytest.mark.parametrize(
    ("relation", "condition"),
    [
        ("fraiseql_events", "timestamp >= '{}T00:00:00Z'"),
        ("fraiseql_events", "timestamp >= '{}T01:00:00+01:00' AND timestamp < '2999-01-01T00:00Z'"),
        ("fraiseql_events", "stream_time IN ('{}T00:00:00.000Z')"),
        ("fraiseql_events", "timestamp >= cast('{}T00:00:00Z' as timestamp)"),
        ("fraiseql_events_hourly", "hour BETWEEN '{}T00:00:00Z' AND '2099-01-01T00:00:00Z'"),
    ],
)
def test_times_are_compared_with_texts_in_iso_8601(
    connection: flightsql.Connection, relation: str, condition: str
) -> None:
    every = only(connection, f"SELECT count(*) FROM {relation}")
    statement = f"SELECT count(*) FROM {relation} WHERE {condition.format(DAY)}"
    assert only(connection, statement) == every


@pytest.mark.parametrize(
    "name",
    [
        "fraiseql_events",
        "public.fraiseql_events",
        "analytics.public.fraiseql_events",
        '"analytics"."public"."fraiseql_events"',
        "analytics.fraiseql_events",
    ],
)
def test_a_relation_can_be_qualified_with_schema_and_catalogue(
    connection: flightsql.Connection, name: str
) -> None:
    assert only(connection, f"SELECT count(*) FROM {name}") == ROWS


def test_aggregates_are_read(connection: flightsql.Connection) -> None:
    total = "SELECT sum(event_count) AS n FROM {}"
    for name in ("fraiseql_events_hourly", "fraiseql_org_daily", "fraiseql_event_type_stats"):
        assert only(connection, total.format(name)) == ROWS


def test_relations_of_the_compiled_schema_are_typed(connection: flightsql.Connection) -> None:
    found = table(connection, f"SELECT * FROM {AUTHORS} ORDER BY id LIMIT 3")
    assert {field.name: field.type for field in found.schema} == {
        "id": pa.string(),
        "name": pa.string(),
        "age": pa.int32(),
        "score": pa.float64(),
        "balance": pa.decimal128(12, 2),
        "active": pa.bool_(),
        "born": pa.date32(),
        "wakes": pa.time64("us"),
        "joined_at": pa.timestamp("us", "UTC"),
        "followers": pa.int64(),
        "meta": pa.string(),
        "mood": pa.string(),
    }
    assert found["balance"].to_pylist() == [Decimal("1.10"), Decimal("2.20"), Decimal("3.30")]
    assert found["born"][0].as_py() == dt.date(2000, 1, 2)


def test_joins_unions_and_windows_run_on_every_engine(connection: flightsql.Connection) -> None:
    hours = table(
        connection,
        """WITH busy AS (
            SELECT entity_type, count(*) AS n FROM fraiseql_events GROUP BY entity_type
        )
        SELECT e.entity_type, busy.n, row_number() OVER (ORDER BY busy.n DESC) AS place
        FROM (SELECT DISTINCT entity_type FROM fraiseql_events) AS e
        JOIN busy ON busy.entity_type = e.entity_type ORDER BY place""",
    )
    assert sum(hours["n"].to_pylist()) == ROWS
    assert hours["place"].to_pylist() == list(range(1, hours.num_rows + 1))
    names = table(
        connection,
        f"""SELECT name, count(*) OVER () AS n FROM {AUTHORS} WHERE age > 40
        UNION ALL SELECT title, 0 FROM {shop.SCHEMA}.v_post WHERE words > 1990 ORDER BY n""",
    )
    assert names["n"].to_pylist()[0] == 0
    assert names.num_rows == 1 + names["n"].to_pylist()[-1]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT toStartOfHour(timestamp) AS hour, count(*) AS n FROM fraiseql_events GROUP BY hour",
        "SELECT toDate(timestamp) AS d, generateUUIDv4() AS u, tenant_id FROM fraiseql_events",
        "SELECT [1, NULL] AS a, map('k', 1) AS m, (1, 'x') AS t, NULL AS n, toIPv4('1.2.3.4') AS i",
        "SELECT toDecimal64(1.5, 3) AS d, toInt128(5) AS big, now() AS t, 1.5 AS f, true AS b",
        f"SELECT avg(balance) AS a, sum(age) AS s, count(*) AS c, max(born) AS m FROM {AUTHORS}",
        f"SELECT joined_at - interval '1 day' AS d, array_agg(age) AS a FROM {AUTHORS} GROUP BY d",
        f"SELECT to_jsonb(name) AS j, born + 1 AS b, age / 3.0 AS q, NULL AS n FROM {AUTHORS}",
        f"SELECT * FROM {AUTHORS} WHERE false",
    ],
)
def test_the_schema_announced_is_the_schema_sent(
    connection: flightsql.Connection, sql: str
) -> None:
    with connection.cursor() as cursor:
        announced = cursor.adbc_execute_schema(sql)
        cursor.execute(sql)
        assert cursor.fetch_arrow_table().schema.equals(announced)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM nothing", "There is no relation nothing"),
        (f"SELECT * FROM fraiseql_events, {AUTHORS}", "runs in one engine"),
        ("SELECT nothing FROM fraiseql_events", "ClickHouse refuses"),
        (f"SELECT nothing FROM {AUTHORS}", "column"),
        ("SELECT * FROM fraiseql_ledger", "fraiseql_events_hourly"),
        ("SELECT * FROM fraiseql_events SETTINGS readonly = 0", "SETTINGS"),
        ("SELECT unhex('ff') AS x FROM fraiseql_events", "not UTF-8"),
        ("DROP TABLE fraiseql_events", "only reads"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT * FROM WHERE", "does not parse"),
    ],
)
def test_a_refused_statement_has_a_reason(
    connection: flightsql.Connection, sql: str, told: str
) -> None:
    with pytest.raises(adbc_driver_manager.Error, match=told) as caught:
        table(connection, sql)
    assert caught.value.status_code == adbc_driver_manager.AdbcStatusCode.INVALID_ARGUMENT


def test_parameters_are_bound(connection: flightsql.Connection) -> None:
    counted = "SELECT count(*) FROM fraiseql_events WHERE entity_type = ? AND stream_seq <= ?"
    found = only(connection, counted, ("Order", 1000))
    assert 0 < found < 1000
    authors = f"SELECT count(*) FROM {AUTHORS} WHERE age < ? AND joined_at >= ? AND name LIKE ?"
    moment = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    assert 0 < only(connection, authors, (20, moment, "%Author%")) < 60
    assert only(connection, f"SELECT count(*) FROM {AUTHORS} WHERE age = $1 OR age = $1", (5,)) == 2
    assert only(connection, "SELECT count(*) FROM fraiseql_events LIMIT ?", (5,)) == ROWS


VALUES = [
    pa.scalar(True),
    pa.scalar(-5, pa.int8()),
    pa.scalar(7, pa.uint32()),
    pa.scalar(2**60, pa.int64()),
    pa.scalar(1.5, pa.float32()),
    pa.scalar(-0.1, pa.float64()),
    pa.scalar("it's \\ \n \t 😀 {p:String} '"),
    pa.scalar(Decimal("12345.678"), pa.decimal128(20, 3)),
    pa.scalar(dt.date(1999, 12, 31)),
    pa.scalar(dt.datetime(2026, 1, 2, 3, 4, 5, 678901), pa.timestamp("us")),
    pa.scalar(dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC), pa.timestamp("us", "UTC")),
    pa.scalar(b"\x00a", pa.binary()),
    pa.scalar(b"ab", pa.binary(2)),
    pa.scalar(dt.time(1, 2, 3, 4), pa.time64("us")),
    pa.scalar("large", pa.large_string()),
    pa.scalar(["a'", None, "b"], pa.list_(pa.string())),
    pa.scalar([1, 2], pa.list_(pa.int64())),
    pa.scalar(None, pa.int32()),
]


@pytest.mark.parametrize("given", VALUES, ids=lambda given: str(given.type))
@pytest.mark.parametrize("relation", ["fraiseql_events", AUTHORS])
def test_a_bound_value_of_every_type_round_trips(
    connection: flightsql.Connection, given: pa.Scalar, relation: str
) -> None:
    bound = pa.record_batch([pa.array([given.as_py()], given.type)], ["x"])
    sent = f"SELECT ? AS x FROM {relation} LIMIT 1"
    found = table(connection, sent, bound)[0][0].as_py()
    wanted = given.as_py()
    if isinstance(found, bytes | str) and isinstance(wanted, bytes):
        # ClickHouse has no type for bytes but its String.
        found = found if isinstance(found, bytes) else found.encode()
    if isinstance(found, str) and isinstance(wanted, dt.time):
        found = dt.time.fromisoformat(found)
    if isinstance(wanted, dt.datetime) and isinstance(found, dt.datetime):
        found, wanted = found.replace(tzinfo=None), wanted.replace(tzinfo=None)
    assert found == wanted


@pytest.mark.parametrize(
    "text",
    ["it's", "a\\b", "\\'", "\\\\'", "x\ny\t", "\\n", "‘’“”", "-- /* $$ ; {p:Int8}", "😀", "%\\%_"],
)
def test_a_literal_round_trips(connection: flightsql.Connection, text: str) -> None:
    doubled = text.replace("'", "''")
    assert only(connection, f"SELECT '{doubled}' AS x FROM {AUTHORS} LIMIT 1") == text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    assert only(connection, f"SELECT '{escaped}' AS x FROM fraiseql_events LIMIT 1") == text


def test_rows_of_parameters_are_executed_one_after_another(
    connection: flightsql.Connection,
) -> None:
    rows = pa.record_batch([pa.array([3, None, 1, 2], pa.int64())], ["n"])
    for relation in ("fraiseql_events", AUTHORS):
        found = table(connection, f"SELECT ? AS n, count(*) AS c FROM {relation}", rows)
        assert found["n"].to_pylist() == [3, None, 1, 2]
        assert len(set(found["c"].to_pylist())) == 1


def test_a_prepared_statement_has_the_schema_of_its_parameters(
    connection: flightsql.Connection,
) -> None:
    sql = f"SELECT * FROM {AUTHORS} WHERE age > ? AND ? = name AND joined_at < ? LIMIT ?"
    with connection.cursor() as cursor:
        told = cursor.adbc_prepare(sql)
    assert told is not None
    kinds = [pa.int32(), pa.string(), pa.timestamp("us", "UTC"), pa.int64()]
    assert [field.type for field in told] == kinds


def test_a_prepared_statement_can_be_executed_again(connection: flightsql.Connection) -> None:
    with connection.cursor() as cursor:
        sql = "SELECT count(*) AS n FROM fraiseql_events WHERE stream_seq <= ?"
        cursor.adbc_prepare(sql)
        for most in (10, 20, 30):
            cursor.execute(sql, (most,))
            assert cursor.fetchone() == (most,)


@pytest.mark.parametrize(
    ("values", "told"),
    [((), "Bind their values"), ((1, 2), "parameter"), (("x",), "cannot be read")],
)
def test_values_of_a_wrong_type_are_refused(
    connection: flightsql.Connection, values: tuple[Any, ...], told: str
) -> None:
    with pytest.raises(adbc_driver_manager.Error, match=told):
        table(connection, "SELECT * FROM fraiseql_events WHERE stream_seq = ?", values or None)


def test_statements_that_write_are_refused(connection: flightsql.Connection) -> None:
    with connection.cursor() as cursor:
        with pytest.raises(adbc_driver_manager.NotSupportedError):
            cursor.adbc_ingest("fraiseql_events", pa.table({"x": [1]}), mode="append")
        with pytest.raises(adbc_driver_manager.NotSupportedError):
            cursor.executemany("SELECT ?", [(1,), (2,)])


def test_objects_are_listed_with_their_columns(connection: flightsql.Connection) -> None:
    found = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    by_name = {
        one["catalog_name"]: {
            table["table_name"]: table
            for schema in one["catalog_db_schemas"]
            for table in schema["db_schema_tables"]
        }
        for one in found
    }
    assert set(by_name) == {"analytics", "fraiseql"}
    events = by_name["analytics"]["fraiseql_events"]
    assert [one["column_name"] for one in events["table_columns"]] == (
        SCHEMAS["analytics/events"].names
    )
    assert {"v_author", "tv_author", "v_post"} <= set(by_name["fraiseql"])
    narrowed = connection.adbc_get_objects(
        depth="tables", catalog_filter="analytics", table_name_filter="%hourly"
    ).read_all()
    [one] = narrowed.to_pylist()
    [schema] = one["catalog_db_schemas"]
    assert [table["table_name"] for table in schema["db_schema_tables"]] == [
        "fraiseql_events_hourly"
    ]


def test_table_types_and_type_info_are_listed(connection: flightsql.Connection) -> None:
    assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]
    schema = connection.adbc_get_table_schema("fraiseql_org_daily")
    assert schema.names == SCHEMAS["analytics/org_daily"].names
    told = connection.adbc_get_info()
    assert told["vendor_name"] == "FraiseQL"


def test_a_session_chooses_the_catalogue(service: Service) -> None:
    with adbc(service, **{COOKIES: "true"}) as connection:
        connection.adbc_current_catalog = "fraiseql"
        assert connection.adbc_current_catalog == "fraiseql"
        connection.adbc_current_db_schema = shop.SCHEMA
        assert only(connection, "SELECT count(*) FROM v_author") == 60
        assert "PostgreSQL" not in str(only(connection, "SELECT upper('x')"))
        with pytest.raises(adbc_driver_manager.Error):
            connection.adbc_current_catalog = "nothing"


def test_polars_and_pandas_read_statements(connection: flightsql.Connection) -> None:
    frame = pl.read_database(
        "SELECT entity_type, count(*) AS n FROM fraiseql_events GROUP BY entity_type", connection
    )
    assert frame["n"].sum() == ROWS
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT name, age FROM {AUTHORS} ORDER BY name")
        assert list(cursor.fetch_df().columns) == ["name", "age"]


def test_statements_of_several_clients_run_concurrently(service: Service) -> None:
    def ask(number: int) -> int:
        relation = "fraiseql_events" if number % 2 else AUTHORS
        with adbc(service) as own:
            return only(own, f"SELECT count(*) FROM {relation}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(16))) == [60, ROWS] * 8
