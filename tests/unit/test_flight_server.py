"""The Flight server with fake flights, without planes.

The fake flights are part of it, so the file is longer than others.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pyarrow as pa
import pytest
from pyarrow import flight

from flight_service.addresses import AddressError
from flight_service.assets import named
from flight_service.errors import sentence_of
from flight_service.messages import MESSAGE_BYTES
from flight_service.registry import Registry
from flight_service.server import FlightServer
from fraiseql_assets.settings import Settings
from tests.tokens import signed
from tests.unit.flight_server import DOWN, SCHEMA, SECRET, TOLD, Flights, Kind, Made, start_server

Start = Callable[..., FlightServer]


@pytest.fixture
def flights() -> Flights:
    return Flights()


@pytest.fixture
def start(flights: Flights) -> Iterator[Start]:
    with ExitStack() as running:

        def start(**settings: object) -> FlightServer:
            return running.enter_context(start_server(flights, **settings))

        yield start


@pytest.fixture
def client(start: Start) -> Iterator[flight.FlightClient]:
    with flight.connect(str(start().address)) as client:
        yield client


def ticket(kind: Kind, rows: int = 3) -> flight.Ticket:
    return flight.Ticket(Made(kind=kind, rows=rows).encode())


def descriptor(kind: Kind) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_command(Made(kind=kind).encode())


def test_every_method_returns_the_same_schema(client: flight.FlightClient) -> None:
    read = client.do_get(ticket("rows")).read_all()
    assert read.schema == SCHEMA
    assert client.get_schema(descriptor("rows")).schema == SCHEMA
    assert client.get_flight_info(descriptor("rows")).schema == SCHEMA
    assert read["n"].to_pylist() == [0, 1, 2]


def test_an_empty_result_has_the_full_schema(client: flight.FlightClient) -> None:
    read = client.do_get(ticket("empty")).read_all()
    assert (read.num_rows, read.schema) == (0, SCHEMA)


def test_a_flight_whose_server_is_down_has_a_schema(client: flight.FlightClient) -> None:
    assert client.get_schema(descriptor("down")).schema == SCHEMA


def test_a_large_batch_is_sent_in_messages_of_limited_size(
    client: flight.FlightClient,
) -> None:
    read = [chunk.data for chunk in client.do_get(ticket("wide", rows=40))]
    assert max(pa.ipc.get_record_batch_size(batch) for batch in read) <= MESSAGE_BYTES
    assert pa.Table.from_batches(read)["n"].to_pylist() == [*range(40)]


def test_a_client_with_the_default_limit_of_grpc_reads_a_large_batch(start: Start) -> None:
    # The default of clients in Rust, Go and JavaScript.
    limit = [("grpc.max_receive_message_length", 4 * 2**20)]
    with flight.connect(str(start().address), generic_options=limit) as client:
        assert client.do_get(ticket("wide", rows=40)).read_all().num_rows == 40


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("refused", pa.ArrowInvalid, "There is no such thing. Take another."),
        ("unknown", pa.ArrowKeyError, "There is no asset 'x'. There are: y."),
        ("forbidden", flight.FlightUnauthorizedError, "Only an admin may see this. Ask one."),
        ("down", flight.FlightUnavailableError, TOLD),
        ("breaks", flight.FlightUnavailableError, TOLD),
    ],
)
def test_an_error_is_one_line_with_its_status(
    client: flight.FlightClient, kind: Kind, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        client.do_get(ticket(kind)).read_all()
    assert sentence_of(caught.value) == said
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "error", "said", "status"),
    [
        ("refused", pa.ArrowInvalid, "There is no such thing. Take another.", "InvalidArgument"),
        ("unknown", pa.ArrowKeyError, "There is no asset 'x'. There are: y.", "NotFound"),
        # pyarrow's server has no status of its own for what follows, and sends UNKNOWN.
        ("forbidden", OSError, "Only an admin may see this. Ask one.", "Unauthorized"),
    ],
)
def test_an_error_of_get_schema_is_one_line_with_its_status_name(
    client: flight.FlightClient, kind: Kind, error: type[Exception], said: str, status: str
) -> None:
    with pytest.raises((error, pa.ArrowException)) as caught:
        client.get_schema(descriptor(kind))
    assert sentence_of(caught.value).removeprefix("Unknown error: ") == said
    assert f"Detail: Python exception: {status}" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_ticket_can_request_one_endpoint(client: flight.FlightClient) -> None:
    one = flight.FlightDescriptor.for_command(Made(kind="rows", endpoints=1).encode())
    [endpoint] = client.get_flight_info(one).endpoints
    assert client.do_get(endpoint.ticket).read_all().num_rows == 3


@pytest.mark.parametrize("kind", ["bug", "other_schema"])
def test_an_internal_error_has_a_number_that_the_log_explains(
    client: flight.FlightClient, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(flight.FlightInternalError, match=r"under error [0-9a-f]{8}") as caught:
        client.do_get(ticket(kind)).read_all()
    assert "secret" not in str(caught.value)
    number = sentence_of(caught.value).split()[-1].rstrip(".")
    assert f"Error {number}" in caplog.text
    assert "Traceback" in caplog.text


def test_an_unsupported_method_is_refused_without_a_traceback(client: flight.FlightClient) -> None:
    with pytest.raises(pa.ArrowNotImplementedError) as caught:
        client.do_put(descriptor("rows"), SCHEMA)[0].close()
    assert sentence_of(caught.value).startswith("This service takes no DoPut.")
    assert "Traceback" not in str(caught.value)


def test_flight_info_has_an_endpoint_per_part_and_the_known_counts(
    client: flight.FlightClient,
) -> None:
    info = client.get_flight_info(descriptor("rows"))
    assert (info.total_records, info.total_bytes, len(info.endpoints)) == (3, -1, 2)
    assert json.loads(info.app_metadata) == {"kind": "rows"}
    assert json.loads(info.endpoints[0].app_metadata) == {"part": 1}
    with flight.connect(info.endpoints[0].locations[0]) as other:
        assert other.do_get(info.endpoints[0].ticket).read_all().num_rows == 3


def test_flights_of_unavailable_servers_are_listed_with_the_reason(
    client: flight.FlightClient,
) -> None:
    found = {info.descriptor.path[0][5:]: info for info in client.list_flights()}
    about = {kind: json.loads(info.app_metadata) for kind, info in found.items()}
    assert about[b"down"]["error"] == TOLD
    assert about[b"waits"]["error"] == "Its server has not answered within 1.1 seconds."
    assert found[b"rows"].total_records == 3
    assert {info.total_records for kind, info in found.items() if kind != b"rows"} == {-1}
    assert all(info.schema == SCHEMA and info.endpoints for info in found.values())


def test_the_address_of_a_server_that_is_down_is_in_the_log(
    client: flight.FlightClient, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(flight.FlightUnavailableError) as caught:
        client.do_get(ticket("down")).read_all()
    assert "inner" not in str(caught.value)
    assert DOWN in caplog.text


def test_concurrent_listings_share_requests_to_a_server(start: Start, flights: Flights) -> None:
    address = str(start().address)

    def list_all(_: int) -> list[str]:
        with flight.connect(address) as client:
            return [
                json.loads(info.app_metadata).get("error", "") for info in client.list_flights()
            ]

    with ThreadPoolExecutor(20) as pool:
        listed = [*pool.map(list_all, range(20))]
    late = "Its server has not answered within 1.1 seconds."
    assert listed == [["", TOLD, late]] * 20
    assert flights.asked == 1


def test_criteria_are_a_prefix_of_names(client: flight.FlightClient) -> None:
    [info] = client.list_flights(b"made/ro")
    assert info.descriptor.path == [b"made/rows"]
    assert list(client.list_flights(b"nothing")) == []


def test_a_health_check_has_the_documented_keys(client: flight.FlightClient) -> None:
    [answer] = client.do_action("HealthCheck")
    health = json.loads(answer.body.to_pybytes())
    assert list(health) == ["status", "version", "timestamp"]
    assert health["status"] == "healthy"
    assert isinstance(health["timestamp"], int)
    assert abs(health["timestamp"] - time.time()) < 60
    assert [action.type for action in client.list_actions()] == ["HealthCheck"]


def test_an_unknown_action_is_refused_with_the_known_names(client: flight.FlightClient) -> None:
    with pytest.raises(pa.ArrowInvalid, match=r"no action 'Foo'. There are: HealthCheck"):
        list(client.do_action("Foo"))


def test_the_size_of_an_action_body_is_limited(client: flight.FlightClient) -> None:
    with pytest.raises(pa.ArrowInvalid, match="has at most 262,144 bytes, this one 262,145"):
        list(client.do_action(flight.Action("HealthCheck", b"x" * (256 * 1024 + 1))))


def test_an_abandoned_stream_is_closed(client: flight.FlightClient, flights: Flights) -> None:
    reader = client.do_get(ticket("endless"))
    reader.read_chunk()
    reader.cancel()
    assert flights.closed.wait(10)


def test_a_disconnect_cancels_a_waiting_stream(
    client: flight.FlightClient, flights: Flights, caplog: pytest.LogCaptureFixture
) -> None:
    reader = client.do_get(ticket("waits"))
    reader.read_chunk()
    reader.cancel()
    assert flights.cancelled.wait(10)
    assert flights.closed.wait(10)
    assert caplog.text == ""


def test_a_service_that_stops_ends_its_streams_with_an_error(
    start: Start, flights: Flights
) -> None:
    server = start()
    with flight.connect(str(server.address)) as client:
        reader = client.do_get(ticket("waits"))
        reader.read_chunk()
        assert server.stop(10)
        with pytest.raises(flight.FlightUnavailableError, match=r"service is stopping. Ask again"):
            reader.read_chunk()
    assert flights.closed.wait(10)


def test_a_port_in_use_is_an_error_with_the_setting(start: Start) -> None:
    taken = start().address
    with pytest.raises(AddressError, match="set FRAISEQL_FLIGHT_URL"):
        FlightServer(taken, Settings(), Registry({Made: Flights().resolve}, named, ()))


def bearer(**claims: object) -> flight.FlightCallOptions:
    token = signed(SECRET, **claims)
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


CALLS: dict[str, Callable[[flight.FlightClient, flight.FlightCallOptions], object]] = {
    "list_flights": lambda client, options: list(client.list_flights(options=options)),
    "get_flight_info": lambda client, options: client.get_flight_info(descriptor("rows"), options),
    "get_schema": lambda client, options: client.get_schema(descriptor("rows"), options),
    "do_get": lambda client, options: client.do_get(ticket("rows"), options).read_all(),
    "do_action": lambda client, options: list(client.do_action("HealthCheck", options)),
    "list_actions": lambda client, options: client.list_actions(options),
}


# pyarrow's client raises a GetSchema that failed, whatever its status, as an OSError.
UNAUTHENTICATED = (flight.FlightUnauthenticatedError, OSError)


@pytest.mark.parametrize("call", CALLS)
def test_every_call_needs_a_token_if_a_secret_is_set(start: Start, call: str) -> None:
    with flight.connect(str(start(jwt_secret=SECRET).address)) as client:
        with pytest.raises(UNAUTHENTICATED) as caught:
            CALLS[call](client, flight.FlightCallOptions())
        assert sentence_of(caught.value).startswith("Send the header `authorization: Bearer")
        with pytest.raises(UNAUTHENTICATED, match="has expired"):
            CALLS[call](client, bearer(exp=int(time.time()) - 60))
        assert CALLS[call](client, bearer(sub="ada")) is not None


def test_a_principal_above_its_limit_is_refused_until_a_result_ends(start: Start) -> None:
    server = start(jwt_secret=SECRET, principal_streams=1)
    ada, bob = bearer(sub="ada"), bearer(sub="bob")
    with flight.connect(str(server.address)) as client:
        reader = client.do_get(ticket("endless"), ada)
        reader.read_chunk()
        with pytest.raises(flight.FlightUnavailableError, match="reads 1 results already"):
            client.do_get(ticket("rows"), ada)
        assert client.do_get(ticket("rows"), bob).read_all().num_rows == 3
        reader.cancel()
        for kind in ("rows", "breaks", "rows"):
            read_when_free(client, kind, ada)


def read_when_free(
    client: flight.FlightClient, kind: Kind, options: flight.FlightCallOptions
) -> None:
    """Reads a flight as soon as the principal's other one has ended."""
    deadline = time.monotonic() + 10
    while True:
        try:
            client.do_get(ticket(kind), options).read_all()
            return
        except flight.FlightUnavailableError as error:
            if sentence_of(error) == TOLD:
                return
            assert time.monotonic() < deadline


def test_a_flight_gets_the_claims_of_the_principal(start: Start) -> None:
    with flight.connect(str(start(jwt_secret=SECRET).address)) as client:
        options = bearer(sub="ada", tenant_id="acme", roles=["admin"])
        read = client.do_get(ticket("whoami"), options).read_all()
    assert read["text"].to_pylist() == ["ada acme ['admin']"]
