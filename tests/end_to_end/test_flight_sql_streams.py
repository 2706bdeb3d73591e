"""Large and cancelled results of Flight SQL: memory and cancellation."""

import threading
import time
from collections.abc import Callable, Iterator

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import clickhouse_connect
import graphql_shop as shop
import psutil
import pytest
from flights import Service, ServiceProcess, serving_alone
from pyarrow import flight
from sql_service import adbc, sql_service

from flight_service.sql.commands import pack
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.sql.protocol import FlightSql_pb2 as protocol

MIB = 2**20
NEVER = (
    "SELECT count(*) FROM fraiseql_events AS a, fraiseql_events AS b, fraiseql_events AS c "
    "WHERE cityHash64(a.event_id, b.event_id, c.event_id) = 1"
)
LARGE = (
    "SELECT a.event_id AS x, b.event_id AS y FROM fraiseql_events AS a CROSS JOIN "
    "fraiseql_events AS b"
)
THINGS = f"{shop.SCHEMA}.v_thing"
NEVER_THINGS = f"SELECT count(*) FROM {THINGS} AS a, {THINGS} AS b WHERE a.id + b.id > 0"
LARGE_THINGS = f"SELECT id, needed FROM {THINGS}"
ENGINES = [("analytics", NEVER, LARGE), ("fraiseql", NEVER_THINGS, LARGE_THINGS)]
engines = pytest.mark.parametrize(("engine", "never", "large"), ENGINES, ids=lambda one: one[:9])
SECONDS = 20


@pytest.fixture(scope="module")
def service(
    clickhouse_url: str, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    shop.create(database_url)
    folder = tmp_path_factory.mktemp("schema")
    path = shop.create_endless(database_url, folder)
    changes = {"schema_path": path, "start": serving_alone}
    with sql_service(clickhouse_url, database_url, folder, **changes) as (service, _):
        yield service


@pytest.fixture
def idle(service: Service, database_url: str) -> Callable[[str], None]:
    """Waits until an engine runs no statement of these tests."""
    url = service.settings.clickhouse_url.get_secret_value()
    client = clickhouse_connect.get_client(dsn=url)
    running = (
        "SELECT count() FROM system.processes WHERE query LIKE '%fraiseql_events%b.event_id%' "
        "AND query NOT LIKE '%system.processes%'"
    )

    def wait(engine: str) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            if engine == "fraiseql":
                left = shop.running(database_url)
            else:
                left = client.query(running).result_rows[0][0]
            if not left:
                return
            assert time.monotonic() < deadline, "the query still runs"
            time.sleep(0.02)

    return wait


def information(service: Service, sql: str) -> flight.FlightInfo:
    command = pack(protocol.CommandStatementQuery(query=sql))
    return service.client.get_flight_info(flight.FlightDescriptor.for_command(command))


def cancel(service: Service, info: flight.FlightInfo) -> base.CancelFlightInfoResult:
    request = base.CancelFlightInfoRequest(info=base.FlightInfo.FromString(info.serialize()))
    action = flight.Action("CancelFlightInfo", request.SerializeToString())
    [result] = service.client.do_action(action)
    return base.CancelFlightInfoResult.FromString(result.body.to_pybytes())


class Reading(threading.Thread):
    """Reads a ticket, and keeps how it ended. pyarrow raises KeyboardInterrupt for CANCELLED in a
    main thread, so this is another."""

    def __init__(self, service: Service, ticket: flight.Ticket) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self.has_rows = threading.Event()
        self._service, self._ticket = service, ticket
        self.start()

    def run(self) -> None:
        try:
            with flight.connect(self._service.settings.flight_url) as client:
                for _ in client.do_get(self._ticket):
                    self.has_rows.set()
        except BaseException as error:
            self.error = error


@engines
def test_a_statement_is_cancelled_before_its_first_row(
    service: Service, idle: Callable[[str], None], engine: str, never: str, large: str
) -> None:
    info = information(service, never)
    reading = Reading(service, info.endpoints[0].ticket)
    assert not reading.has_rows.wait(0.5)
    assert cancel(service, info).status == base.CANCEL_STATUS_CANCELLED
    reading.join(SECONDS)
    assert isinstance(reading.error, flight.FlightCancelledError), reading.error
    idle(engine)


@engines
def test_a_statement_is_cancelled_between_rows(
    service: Service, idle: Callable[[str], None], engine: str, never: str, large: str
) -> None:
    info = information(service, large)
    reading = Reading(service, info.endpoints[0].ticket)
    assert reading.has_rows.wait(SECONDS)
    cancel(service, info)
    reading.join(SECONDS)
    assert isinstance(reading.error, flight.FlightCancelledError), reading.error
    idle(engine)


@engines
def test_a_cancelled_statement_cannot_be_read(
    service: Service, engine: str, never: str, large: str
) -> None:
    info = information(service, large)
    cancel(service, info)
    reading = Reading(service, info.endpoints[0].ticket)
    reading.join(SECONDS)
    assert isinstance(reading.error, flight.FlightCancelledError), reading.error


@engines
def test_a_client_can_cancel_a_waiting_call(
    service: Service, idle: Callable[[str], None], engine: str, never: str, large: str
) -> None:
    with adbc(service) as connection, connection.cursor() as cursor:
        timer = threading.Timer(0.5, cursor.adbc_cancel)
        timer.start()
        with pytest.raises(adbc_driver_manager.Error):
            _ = cursor.execute(never), cursor.fetchall()
        timer.join()
    idle(engine)


@engines
def test_a_disconnect_cancels_the_query(
    service: Service, idle: Callable[[str], None], engine: str, never: str, large: str
) -> None:
    with adbc(service) as connection, connection.cursor() as cursor:
        cursor.execute(large)
        assert cursor.fetchone() is not None
    idle(engine)


def test_a_statement_does_not_wait_for_a_long_one(service: Service) -> None:
    infos = [information(service, never) for _, never, _ in ENGINES]
    readings = [Reading(service, info.endpoints[0].ticket) for info in infos]
    with adbc(service) as connection, connection.cursor() as cursor:
        for relation in ("fraiseql_events", f"(SELECT id FROM {THINGS} LIMIT 5) AS x"):
            cursor.execute(f"SELECT count(*) FROM {relation}")
            assert cursor.fetchone() is not None
    for info, reading in zip(infos, readings, strict=True):
        assert reading.is_alive()
        cancel(service, info)
        reading.join(SECONDS)


@engines
def test_a_large_result_streams_in_bounded_memory(
    service: Service, idle: Callable[[str], None], engine: str, never: str, large: str
) -> None:
    assert isinstance(service, ServiceProcess)
    process = psutil.Process(service.process.pid)

    def read(connection: flightsql.Connection, most: int) -> int:
        with connection.cursor() as cursor:
            cursor.execute(large)
            rows = 0
            for batch in cursor.fetch_record_batch():
                rows += batch.num_rows
                if rows > most:
                    break
            return rows

    with adbc(service) as connection:
        read(connection, 100_000)
        idle(engine)
        before = process.memory_info().rss
        assert read(connection, 2_000_000) > 2_000_000
        grown = process.memory_info().rss - before
    idle(engine)
    assert grown < 100 * MIB, f"{grown / MIB:.0f} MiB"
