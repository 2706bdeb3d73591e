"""Large selections of events over Flight SQL, in several endpoints by days."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import graphql_shop as shop
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flights import Service, serving
from pyarrow import flight
from sql_service import DAY, ROWS, SECRET, adbc, sql_service, store, token

from flight_service.sql.commands import expected, pack
from flight_service.sql.division import functions_of_one_row
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from fraiseql_assets.analytics.client import connect
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.planes import Block

SIZES = {
    DAY - timedelta(days=9): 1000,
    DAY - timedelta(days=8): 4000,
    DAY - timedelta(days=2): 5000,
}
"""The events of the days before `DAY`, which has `ROWS`."""
MOST = 3
LARGE = 3000
"""The rows from which a result has several endpoints."""
ALL = "SELECT * FROM fraiseql_events"
AUTHORS = f"{shop.SCHEMA}.v_author"
ACME = {"sub": "ann", "tenant_id": "acme", "scope": "sql"}


@pytest.fixture(scope="module")
def filled(
    clickhouse_url: str, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, pa.Table]]:
    """A service whose principals are known by tokens, and all events."""
    shop.create(database_url)
    limits = {"sql_parallel_rows": LARGE, "sql_parallel_endpoints": MOST, "jwt_secret": SECRET}
    folder = tmp_path_factory.mktemp("schema")
    with sql_service(clickhouse_url, database_url, folder, **limits) as (service, events):
        tables = [events]
        for number, (day, count) in enumerate(SIZES.items(), 1):
            tables.append(store(service, day, count, first=100_000 * number))
        yield service, pa.concat_tables(tables)


@pytest.fixture(scope="module")
def service(filled: tuple[Service, pa.Table]) -> Service:
    return filled[0]


def bearing(**claims: Any) -> flight.FlightCallOptions:
    header = f"Bearer {token(**{'scope': 'sql', **claims})}"
    return flight.FlightCallOptions(headers=[(b"authorization", header.encode())])


def info(service: Service, command: str | Any, **claims: Any) -> flight.FlightInfo:
    if isinstance(command, str):
        command = protocol.CommandStatementQuery(query=command)
    descriptor = flight.FlightDescriptor.for_command(pack(command))
    return service.client.get_flight_info(descriptor, bearing(**claims))


def read(service: Service, ticket: flight.Ticket, **claims: Any) -> pa.Table:
    return service.client.do_get(ticket, bearing(**claims)).read_all()


def whole(service: Service, sql: str, **claims: Any) -> pa.Table:
    """The rows of a statement in one stream: the command itself is a ticket too."""
    command = pack(protocol.CommandStatementQuery(query=sql))
    return read(service, flight.Ticket(command), **claims)


def ordered(table: pa.Table) -> pa.Table:
    """The rows in the order of their places in the log."""
    return table.sort_by("stream_seq").combine_chunks()


@pytest.mark.parametrize(
    "sql",
    [
        ALL,
        "SELECT stream_seq, upper(entity_type) AS stream_time FROM fraiseql_events AS e",
        "SELECT stream_seq, data, toUUID(event_id) AS u FROM analytics.public.fraiseql_events",
        "SELECT stream_seq, timestamp FROM fraiseql_events WHERE event_type <> 'DELETE'",
        "SELECT stream_seq FROM fraiseql_events AS e WHERE toDate(e.stream_time) > '2020-01-01'",
    ],
)
def test_the_endpoints_of_a_large_selection_are_its_rows(service: Service, sql: str) -> None:
    found = info(service, sql)
    assert len(found.endpoints) == MOST
    assert (found.ordered, found.total_records) == (False, -1)
    parts = [read(service, one.ticket) for one in found.endpoints]
    assert all(part.num_rows and part.schema.equals(found.schema) for part in parts)
    assert ordered(pa.concat_tables(parts)).equals(ordered(whole(service, sql)))


def test_each_endpoint_is_read_by_itself_in_any_order_and_again(
    filled: tuple[Service, pa.Table],
) -> None:
    service, events = filled
    endpoints = info(service, ALL).endpoints
    backwards = [ordered(read(service, one.ticket)) for one in reversed(endpoints)]
    with ThreadPoolExecutor(MOST) as pool:
        again = list(pool.map(lambda one: ordered(read(service, one.ticket)), endpoints))
    assert all(one.equals(two) for one, two in zip(backwards[::-1], again, strict=True))
    assert ordered(pa.concat_tables(again)).equals(ordered(events))
    days = [{at.date() for at in part["stream_time"].to_pylist()} for part in again]
    assert sorted(day for of_part in days for day in of_part) == [*SIZES, DAY]


def test_adbc_reads_all_endpoints(filled: tuple[Service, pa.Table]) -> None:
    service, events = filled
    with adbc(service, token(scope="sql")) as connection, connection.cursor() as cursor:
        cursor.execute(ALL)
        assert ordered(cursor.fetch_arrow_table()).equals(ordered(events))
        cursor.execute(f"{ALL} WHERE stream_seq > ?", (1000,))
        above = events.filter(pc.field("stream_seq") > 1000)
        assert ordered(cursor.fetch_arrow_table()).equals(ordered(above))


def test_adbc_reads_each_partition_by_itself(filled: tuple[Service, pa.Table]) -> None:
    service, events = filled
    with adbc(service, token(scope="sql")) as connection, connection.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions(ALL)
    assert len(partitions) == MOST
    parts: list[pa.Table] = []
    for partition in reversed(partitions):
        with adbc(service, token(scope="sql")) as connection, connection.cursor() as cursor:
            cursor.adbc_read_partition(partition)
            parts.append(cursor.fetch_arrow_table())
    assert all(part.schema.equals(schema) for part in parts)
    assert ordered(pa.concat_tables(parts)).equals(ordered(events))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) AS n FROM fraiseql_events",
        "SELECT entity_id, count(*) AS n FROM fraiseql_events GROUP BY entity_id",
        "SELECT DISTINCT event_id FROM fraiseql_events",
        f"{ALL} ORDER BY stream_seq",
        f"{ALL} LIMIT 8000",
        f"{ALL} OFFSET 10",
        f"{ALL} LIMIT 1 BY entity_id",
        f"{ALL} UNION ALL {ALL}",
        f"SELECT * FROM ({ALL}) AS e",
        f"WITH e AS ({ALL}) SELECT * FROM e",
        "SELECT row_number() OVER (ORDER BY stream_seq) AS n FROM fraiseql_events",
        "SELECT a.event_id FROM fraiseql_events AS a JOIN fraiseql_events AS b "
        "ON a.stream_seq = b.stream_seq",
        "SELECT event_id, rand() AS r FROM fraiseql_events",
        "SELECT event_id, now() AS t FROM fraiseql_events",
        "SELECT event_id FROM fraiseql_events WHERE data <> ''",
        f"SELECT event_id FROM fraiseql_events WHERE stream_seq < {LARGE}",
        "SELECT * FROM fraiseql_events_hourly",
        "SELECT 1",
        f"SELECT * FROM {AUTHORS}",
    ],
)
def test_any_other_statement_has_one_endpoint(service: Service, sql: str) -> None:
    [endpoint] = info(service, sql, sub="ann").endpoints
    assert read(service, endpoint.ticket, sub="ann").num_rows > 0


def test_the_engine_names_no_other_functions_of_several_rows(service: Service) -> None:
    client = connect(service.settings, timeout=30)
    found = client.query(
        "SELECT DISTINCT lower(name) FROM system.functions WHERE is_aggregate "
        "OR NOT ifNull(deterministic, 0)"
    )
    client.close()
    of_several = {row[0] for row in found.result_rows}
    assert {"count", "rand", "neighbor"} <= of_several
    assert functions_of_one_row("clickhouse") & of_several == set()


def test_each_endpoint_has_the_rows_of_the_tenant_alone(
    filled: tuple[Service, pa.Table],
) -> None:
    service, events = filled
    own = events.filter(pc.field("tenant_id") == "acme")
    sql = f"{ALL} WHERE stream_seq > 0 OR 1 = 1"
    assert own.num_rows < events.num_rows
    [_] = info(service, sql, **{**ACME, "tenant_id": "nobody"}).endpoints
    with serving(service.settings, sql_parallel_rows=own.num_rows // 2) as lower:
        found = info(lower, sql, **ACME)
        assert len(found.endpoints) == MOST
        parts = [read(lower, one.ticket, **ACME) for one in found.endpoints]
    for part in parts:
        assert set(part["tenant_id"].to_pylist()) == {"acme"}
    assert ordered(pa.concat_tables(parts)).equals(ordered(own))


def test_the_ticket_of_an_endpoint_belongs_to_its_principal(service: Service) -> None:
    [first, *_] = info(service, ALL, **ACME).endpoints
    of_bob = info(service, ALL, sub="bob").endpoints
    for ticket, claims in (
        (first.ticket, {"sub": "bob"}),
        (of_bob[0].ticket, ACME),
        (flight.Ticket(of_bob[0].ticket.ticket[:-1] + b"\x00"), {"sub": "bob"}),
    ):
        with pytest.raises(pa.ArrowInvalid, match="not of this principal"):
            read(service, ticket, **claims)


def test_a_ticket_is_valid_at_another_service(filled: tuple[Service, pa.Table]) -> None:
    service, events = filled
    tickets = [one.ticket for one in info(service, ALL).endpoints]
    with serving(service.settings) as other:
        found = pa.concat_tables([read(other, ticket) for ticket in tickets])
    assert ordered(found).equals(ordered(events))


def bind(service: Service, name: bytes, values: pa.Table) -> None:
    command = pack(protocol.CommandPreparedStatementQuery(prepared_statement_handle=name))
    descriptor = flight.FlightDescriptor.for_command(command)
    writer, _ = service.client.do_put(descriptor, values.schema, bearing())
    writer.write_table(values)
    writer.close()


def test_a_prepared_statement_has_endpoints_for_one_row_of_values(service: Service) -> None:
    request = protocol.ActionCreatePreparedStatementRequest(query=f"{ALL} WHERE stream_seq > ?")
    action = flight.Action("CreatePreparedStatement", pack(request))
    [result] = service.client.do_action(action, bearing())
    made = expected(result.body.to_pybytes(), protocol.ActionCreatePreparedStatementResult)
    name = made.prepared_statement_handle
    command = protocol.CommandPreparedStatementQuery(prepared_statement_handle=name)
    bind(service, name, pa.table({"x": pa.array([500], pa.uint64())}))
    announced = info(service, command).endpoints
    assert len(announced) == MOST
    bind(service, name, pa.table({"x": pa.array([500, 600], pa.uint64())}))
    [endpoint] = info(service, command).endpoints
    both = sum(sum(SIZES.values()) + ROWS - most for most in (500, 600))
    assert read(service, endpoint.ticket).num_rows == both
    # The endpoints that were announced before are read with the values of then.
    parts = [read(service, one.ticket) for one in announced]
    assert sum(part.num_rows for part in parts) == sum(SIZES.values()) + ROWS - 500


def test_cancelling_a_flight_cancels_all_endpoints(service: Service) -> None:
    found = info(service, ALL)
    request = base.CancelFlightInfoRequest(info=base.FlightInfo.FromString(found.serialize()))
    action = flight.Action("CancelFlightInfo", request.SerializeToString())
    list(service.client.do_action(action, bearing()))
    for one in found.endpoints:
        assert isinstance(error_of(service, one.ticket), flight.FlightCancelledError)


def error_of(service: Service, ticket: flight.Ticket) -> BaseException | None:
    """What reading the ticket raises. In the main thread, and of a whole table, pyarrow turns
    CANCELLED into KeyboardInterrupt."""

    def chunks() -> None:
        for _ in service.client.do_get(ticket, bearing()):
            pass

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(chunks).exception()


def test_events_that_are_stored_later_are_read_once(
    clickhouse_url: str, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("schema")
    limits = {"sql_parallel_rows": 1000, "sql_parallel_endpoints": MOST}
    with sql_service(clickhouse_url, database_url, folder, **limits) as (service, events):
        before = store(service, DAY - timedelta(days=5), 5000, first=10_000)
        middle = store(service, DAY - timedelta(days=3), 4000, first=20_000)
        descriptor = flight.FlightDescriptor.for_command(
            pack(protocol.CommandStatementQuery(query=ALL))
        )
        [first, *others] = service.client.get_flight_info(descriptor).endpoints
        assert json.loads(first.app_metadata)["last_day"] == f"{DAY - timedelta(days=5)}"
        parts = [service.client.do_get(first.ticket).read_all()]
        later = [
            store(service, DAY + timedelta(days=1), 10, first=30_000),
            store(service, DAY - timedelta(days=4), 10, first=40_000),
        ]
        # The endpoint of this day has been read.
        store(service, DAY - timedelta(days=6), 10, first=60_000)
        place = events.schema.get_field_index("data")
        data = pa.array(["{}"] * events.num_rows, pa.string())
        replaced = rebuilt(service, DAY, events.set_column(place, events.schema.field(place), data))
        parts += [service.client.do_get(one.ticket).read_all() for one in others]
    found = ordered(pa.concat_tables(parts))
    wanted = pa.concat_tables([before, middle, *later, replaced])
    assert found.equals(ordered(wanted))


def rebuilt(service: Service, day: date, events: pa.Table) -> pa.Table:
    """Replaces a day of the analytics plane by these events of the same range."""
    settings = service.settings
    plane = AnalyticsPlane(settings)
    [old] = [one for one in plane.ledger(settings.stream) if one.day == day]
    replacement = plane.replace(day)
    replacement.write(Block(events, settings.stream, old.range, day, 0, "rebuilt"))
    replacement.swap(replace(old, kind="partition"))
    plane.close()
    return events
