"""Statements that are read in parts by days, and the days of each part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_service.authentication import ANYONE, Principal
from flight_service.dates import FIRST_DAY, LAST_DAY
from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import (
    Binding,
    ByDay,
    DayRange,
    Dialect,
    Division,
    Execution,
    Relation,
    Statement,
)
from flight_service.sql.commands import SqlCommand, decode, pack
from flight_service.sql.division import functions_of_one_row
from flight_service.sql.engines.clickhouse_days import divided
from flight_service.sql.grammar import functions
from flight_service.sql.planning import Defaults, plan
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.sql.running_statements import StatementCancelled
from flight_service.sql.service import FlightSql
from fraiseql_assets.cancellation import Cancellation

DAY = date(2026, 1, 1)
COLUMNS = pa.schema([("at", pa.timestamp("us", "UTC")), ("kind", pa.string()), ("n", pa.int64())])
RESULT = pa.schema([("day", pa.date32())])
RANGES = (DayRange(FIRST_DAY, DAY), DayRange(DAY + timedelta(days=1), LAST_DAY))


@dataclass
class ByDays:
    """An execution whose result is the days that it reads."""

    days: DayRange | None = None
    schema: pa.Schema = RESULT

    def batches(self, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        days = [self.days.first, self.days.last] if self.days else []
        yield pa.record_batch([pa.array(days, pa.date32())], RESULT)

    def day_ranges(self) -> Sequence[DayRange]:
        return RANGES

    def of_days(self, days: DayRange) -> Execution:
        return ByDays(days)


@dataclass
class Made:
    """A catalogue with events by days, and with a relation that has no days."""

    is_whole: bool = True
    name: str = "analytics"
    dialect: Dialect = "clickhouse"
    executed: list[Statement] = field(default_factory=list)

    def relations(self, principal: Principal) -> Sequence[Relation]:
        by_day = ByDay("SELECT * FROM real WHERE of_days", "at", frozenset(("at",)), self.is_whole)
        return [
            Relation("public", "events", "TABLE", COLUMNS, "SELECT * FROM real", by_day=by_day),
            Relation("public", "other", "TABLE", COLUMNS, "SELECT 1"),
        ]

    def execution(self, statement: Statement, binding: Binding, principal: Principal) -> Execution:
        self.executed.append(statement)
        return ByDays()


def division(sql: str, *, is_whole: bool = True) -> Division | None:
    return plan(sql, [Made(is_whole)], ANYONE, Defaults()).statement.division


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM events",
        "SELECT * EXCEPT (n) FROM analytics.public.events AS e",
        "SELECT 1 AS x, kind AS at FROM events",
        "SELECT e.n + 1, upper(kind), n IN (1, 2), CASE WHEN n > 1 THEN 'a' END FROM events AS e",
        "SELECT arrayMap(x -> x + n, [1, 2]), CAST(n AS String), [n], kind LIKE 'a%' FROM events",
        "SELECT n FROM events WHERE at >= '2026-01-01' AND (toDate(at) < ? OR NOT at IS NULL)",
    ],
)
def test_a_selection_of_one_relation_has_parts(sql: str) -> None:
    assert division(sql) is not None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM other",
        "SELECT 1",
        "SELECT count(*) FROM events",
        "SELECT sumIf(n, n > 1) FROM events",
        "SELECT uniqState(n) FROM events",
        "SELECT quantile(0.9)(n) FROM events",
        "SELECT any(n) FROM events WHERE at > '2026-01-01'",
        "SELECT n, row_number() OVER (ORDER BY n) FROM events",
        "SELECT sum(n) OVER () FROM events",
        "SELECT DISTINCT kind FROM events",
        "SELECT kind FROM events GROUP BY kind",
        "SELECT 1 FROM events HAVING count(*) > 1",
        "SELECT * FROM events ORDER BY n",
        "SELECT * FROM events LIMIT 5",
        "SELECT * FROM events LIMIT 5 OFFSET 5",
        "SELECT * FROM events OFFSET 5",
        "SELECT * FROM events LIMIT 1 BY kind",
        "SELECT * FROM events UNION ALL SELECT * FROM events",
        "SELECT * FROM events EXCEPT SELECT * FROM events",
        "(SELECT * FROM events)",
        "SELECT * FROM (SELECT * FROM events) AS e",
        "SELECT n, (SELECT 1) FROM events",
        "SELECT n FROM events WHERE at IN (SELECT at FROM events)",
        "SELECT n FROM events WHERE EXISTS (SELECT 1 FROM other)",
        "WITH e AS (SELECT * FROM events) SELECT * FROM e",
        "WITH 1 AS x SELECT x FROM events",
        "SELECT * FROM events, other",
        "SELECT a.n FROM events AS a JOIN events AS b ON a.n = b.n",
        "SELECT * FROM events CROSS JOIN other",
        "SELECT now(), n FROM events",
        "SELECT current_timestamp(), n FROM events",
        "SELECT CURRENT_DATE, n FROM events",
        "SELECT n FROM events WHERE at > today() - 1",
        "SELECT rand() FROM events",
        "SELECT generateUUIDv4() FROM events",
        "SELECT runningDifference(n) FROM events",
        "SELECT neighbor(n, 1) FROM events",
        "SELECT arrayJoin([1, 2]) FROM events",
        "SELECT n FROM events WHERE kind = 'a'",
        "SELECT n AS m FROM events WHERE m = 1",
        "SELECT n FROM events QUALIFY row_number() OVER (ORDER BY n) = 1",
    ],
)
def test_any_other_statement_has_no_parts(sql: str) -> None:
    assert division(sql) is None


def test_the_days_are_a_condition_within_the_relation() -> None:
    found = division("SELECT n AS at FROM events AS e WHERE e.at = 5 OR 1")
    assert found is not None
    assert found.sql == (
        'SELECT "n" AS "at" FROM (SELECT * FROM real WHERE of_days) AS "e" WHERE "e"."at" = 5 OR 1'
    )


def test_rows_are_counted_by_day_if_they_are_not_all_rows() -> None:
    selected = division("SELECT n FROM events AS e WHERE e.at > 5")
    assert selected is not None
    assert selected.count == (
        'SELECT toDate("e"."at") AS day, count() AS rows FROM (SELECT * FROM real) AS "e" '
        'WHERE "e"."at" > 5 GROUP BY toDate("e"."at")'
    )
    all_rows = division("SELECT n FROM events")
    assert all_rows is not None
    assert all_rows.count is None
    of_a_tenant = division("SELECT n FROM events", is_whole=False)
    assert of_a_tenant is not None
    assert of_a_tenant.count is not None


def test_functions_of_several_rows_are_known_ones() -> None:
    several = functions("clickhouse") - functions_of_one_row("clickhouse")
    assert {"count", "sum", "now", "rand", "arrayjoin", "neighbor"} <= several
    assert {"upper", "toDate".lower(), "jsonextractstring"} <= functions_of_one_row("clickhouse")


DAYS = st.dictionaries(st.integers(0, 400), st.integers(1, 10**9), min_size=1, max_size=60)


@given(DAYS, st.integers(2, 16))
def test_ranges_have_every_day_once(numbers: dict[int, int], most: int) -> None:
    rows = {DAY + timedelta(days=number): count for number, count in numbers.items()}
    found = divided(rows, most)
    assert len(found) <= most
    assert len(found) != 1
    if not found:
        return
    assert (found[0].first, found[-1].last) == (FIRST_DAY, LAST_DAY)
    for one, following in pairwise(found):
        assert one.first <= one.last
        assert following.first == one.last + timedelta(days=1)
    for one in found:
        assert any(one.first <= day <= one.last for day in rows)


@given(st.integers(2, 16), st.integers(1, 10))
def test_ranges_of_equal_days_have_equal_rows(most: int, each: int) -> None:
    rows = {DAY + timedelta(days=number): 1000 for number in range(most * each)}
    found = divided(rows, most)
    counts = [sum(one.first <= day <= one.last for day in rows) for one in found]
    assert counts == [each] * most


def test_a_day_is_not_divided() -> None:
    assert divided({DAY: 10**9}, 8) == ()
    late = DAY + timedelta(days=9)
    assert divided({DAY: 10**9, late: 1}, 8) == RANGES


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
def sql(made: Made) -> FlightSql:
    return FlightSql([made], is_guarded=False)


def tickets(sql: FlightSql, command: object) -> list[SqlCommand]:
    """The tickets that are announced for a command."""
    parts = sql.resolve(SqlCommand(packed=pack(command)), ANYONE).extent(Cancellation()).parts  # pyright: ignore
    return [part.ticket for part in parts if isinstance(part.ticket, SqlCommand)]


def days_read(sql: FlightSql, ticket: SqlCommand) -> list[date]:
    [batch] = sql.resolve(ticket, ANYONE).stream(Cancellation())
    return batch["day"].to_pylist()


STATEMENT = protocol.CommandStatementQuery(query="SELECT * FROM events")


def test_each_part_has_a_ticket_which_is_read_by_itself(made: Made, sql: FlightSql) -> None:
    found = tickets(sql, STATEMENT)
    for number in (1, 0, 1):
        wanted = RANGES[number]
        assert days_read(sql, found[number]) == [wanted.first, wanted.last]
    assert len(made.executed) == 1
    [about, _] = [part.about for part in sql.resolve(
        SqlCommand(packed=pack(STATEMENT)), ANYONE).extent(Cancellation()).parts]  # fmt: skip
    assert about == {"first_day": f"{FIRST_DAY}", "last_day": f"{DAY}"}


def test_a_ticket_of_a_part_is_valid_at_another_service(made: Made) -> None:
    one, other = (FlightSql([made], is_guarded=False, key=b"shared" * 6) for _ in range(2))
    [_, last] = tickets(one, STATEMENT)
    assert days_read(other, last) == [RANGES[1].first, RANGES[1].last]


def test_the_parts_of_a_prepared_statement_are_read_as_it_was_bound(
    made: Made, sql: FlightSql
) -> None:
    planned = sql.plan("SELECT * FROM events WHERE at > ?", ANYONE, Defaults())
    name = sql.prepared.add(planned, ANYONE)
    sql.prepared.bind(name, ANYONE, pa.table({"x": [None]}))
    command = protocol.CommandPreparedStatementQuery(prepared_statement_handle=name.encode())
    found = tickets(sql, command)
    sql.prepared.bind(name, ANYONE, pa.table({"x": ["2026-01-01T00:00:00Z"]}))
    assert [days_read(sql, one)[1] for one in found] == [DAY, LAST_DAY]
    assert len(made.executed) == 1
    # If the execution is dropped, the values that the other parts have read are lost.
    for _ in range(1000):
        tickets(sql, STATEMENT)
    with pytest.raises(InvalidRequest, match="GetFlightInfo"):
        days_read(sql, found[0])


def test_cancelling_one_endpoint_cancels_all(sql: FlightSql) -> None:
    found = tickets(sql, STATEMENT)
    sql.running.cancel(sql.handle_of(found[1].packed, ANYONE).id)
    for one in found:
        with pytest.raises(StatementCancelled):
            days_read(sql, one)


def test_the_ticket_of_a_part_belongs_to_its_principal(sql: FlightSql) -> None:
    [first, _] = tickets(sql, STATEMENT)
    signed = decode(first.packed)
    assert isinstance(signed, protocol.TicketStatementQuery)
    handle = signed.statement_handle
    for altered in (handle[:-1], handle.replace(f"{DAY}".encode(), b"2026-01-09")):
        assert altered != handle
        ticket = pack(protocol.TicketStatementQuery(statement_handle=altered))
        with pytest.raises(InvalidRequest):
            sql.resolve(SqlCommand(packed=ticket), ANYONE)
    with pytest.raises(InvalidRequest):
        sql.resolve(first, Principal(subject="other", tenant="globex"))
