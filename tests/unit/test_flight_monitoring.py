"""What the Flight server counts and logs of each call, with fake flights."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pyarrow import flight

from flight_service.monitoring.calls import Observer
from flight_service.monitoring.logs import JsonLines, TextLines
from flight_service.monitoring.metrics import DEFINITIONS, UP, Metrics, Sample
from tests.stacks import wait_until
from tests.tokens import signed
from tests.unit.flight_server import SECRET, Flights, Made, start_server

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"


@pytest.fixture
def flights() -> Flights:
    return Flights()


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
def client(flights: Flights, observer: Observer) -> Iterator[flight.FlightClient]:
    with (
        start_server(flights, observer, jwt_secret=SECRET) as server,
        flight.connect(str(server.address)) as client,
    ):
        yield client


def options(**headers: str) -> flight.FlightCallOptions:
    token = signed(SECRET, sub="ada", tenant_id="acme")
    given = {"authorization": f"Bearer {token}", **headers}
    return flight.FlightCallOptions(headers=[(k.encode(), v.encode()) for k, v in given.items()])


def ticket(kind: Any) -> flight.Ticket:
    return flight.Ticket(Made(kind=kind).encode())


def value(observer: Observer, name: str, **labels: str) -> float:
    return observer.metrics.registry.get_sample_value(name, labels) or 0.0


def requests(observer: Observer, status: str, method: str = "do_get", kind: str = "Made") -> float:
    labels = {"method": method, "kind": kind, "status": status}
    return value(observer, "fraiseql_arrow_requests_total", **labels)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines of the calls that have ended."""
    records = [record for record in caplog.records if record.name == "flight_service.calls"]
    return [json.loads(JsonLines().format(record)) for record in records]


@pytest.fixture
def call_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "flight_service.calls")
    return caplog


def test_a_stream_is_counted_with_its_rows_bytes_and_batches(
    client: flight.FlightClient, observer: Observer
) -> None:
    sent = client.do_get(ticket("rows"), options()).read_all()
    wait_until(lambda: requests(observer, "ok") == 1)
    assert value(observer, "fraiseql_arrow_rows_sent_total", kind="Made") == sent.num_rows
    size = sum(map(pa.ipc.get_record_batch_size, sent.to_batches()))
    assert value(observer, "fraiseql_arrow_bytes_sent_total", kind="Made") == size
    assert value(observer, "fraiseql_arrow_batches_sent_total", kind="Made") == 1
    counted = {"method": "do_get", "kind": "Made"}
    assert value(observer, "fraiseql_arrow_query_duration_count", **counted) == 1
    assert value(observer, "fraiseql_arrow_streams") == 0


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("refused", "invalid_argument"),
        ("forbidden", "permission_denied"),
        ("down", "unavailable"),
        ("breaks", "unavailable"),
        ("bug", "internal"),
    ],
)
def test_an_error_is_counted_under_its_status(
    client: flight.FlightClient, observer: Observer, kind: str, status: str
) -> None:
    with pytest.raises((flight.FlightError, pa.ArrowInvalid)):
        client.do_get(ticket(kind), options()).read_all()
    wait_until(lambda: requests(observer, status) == 1)


def test_an_error_of_a_schema_is_counted_under_its_status(
    client: flight.FlightClient, observer: Observer
) -> None:
    descriptor = flight.FlightDescriptor.for_command(Made(kind="forbidden").encode())
    with pytest.raises(pa.ArrowException, match="Only an admin"):
        client.get_schema(descriptor, options())
    wait_until(lambda: requests(observer, "permission_denied", "get_schema") == 1)


def test_a_stream_that_its_client_closes_is_counted_as_cancelled(
    client: flight.FlightClient, observer: Observer
) -> None:
    reader = client.do_get(ticket("endless"), options())
    reader.read_chunk()
    assert value(observer, "fraiseql_arrow_streams") == 1
    reader.cancel()
    wait_until(lambda: requests(observer, "cancelled") == 1)
    assert value(observer, "fraiseql_arrow_streams") == 0


def test_actions_are_counted_by_name_and_unknown_ones_together(
    client: flight.FlightClient, observer: Observer
) -> None:
    list(client.do_action("HealthCheck", options()))
    with pytest.raises(pa.ArrowInvalid):
        list(client.do_action("Anything", options()))
    wait_until(lambda: requests(observer, "ok", "do_action", "HealthCheck") == 1)
    wait_until(lambda: requests(observer, "invalid_argument", "do_action", "unknown") == 1)


def test_a_call_is_logged_in_one_line_with_principal_ticket_and_counts(
    client: flight.FlightClient, call_log: pytest.LogCaptureFixture
) -> None:
    sent = client.do_get(ticket("rows"), options(**{"x-request-id": "from-the-client"})).read_all()
    wait_until(lambda: len(lines(call_log)) == 1)
    [line] = lines(call_log)
    assert line.pop("ms") >= 0
    assert line.pop("peer").startswith("ipv4:127.0.0.1:")
    assert line.pop("bytes") > 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "flight_service.calls",
        "message": "call",
        "request_id": "from-the-client",
        "transport": "flight",
        "method": "do_get",
        "kind": "Made",
        "what": None,
        "user": "ada",
        "tenant": "acme",
        "status": "ok",
        "error": None,
        "rows": sent.num_rows,
    }


def test_a_call_without_a_token_is_logged(
    client: flight.FlightClient, observer: Observer, call_log: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(flight.FlightUnauthenticatedError):
        client.do_get(ticket("rows")).read_all()
    wait_until(lambda: len(lines(call_log)) == 1)
    [line] = lines(call_log)
    assert (line["status"], line["user"], line["kind"]) == ("unauthenticated", None, "unknown")
    assert line["error"].startswith("Send the header")
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert requests(observer, "unauthenticated", kind="unknown") == 1


@pytest.mark.parametrize("method", ["do_put", "do_exchange", "get_schema", "do_get"])
def test_a_refused_call_is_logged_with_the_address_that_a_proxy_adds(
    method: str, client: flight.FlightClient, call_log: pytest.LogCaptureFixture
) -> None:
    proxy = flight.FlightCallOptions(headers=[(b"x-forwarded-for", b"10.0.0.7")])
    descriptor = flight.FlightDescriptor.for_path("made/rows")
    calls: dict[str, Callable[[], Any]] = {
        "do_put": lambda: client.do_put(descriptor, pa.schema([]), proxy)[0].close(),
        "do_exchange": lambda: client.do_exchange(descriptor, proxy)[1].read_chunk(),
        "get_schema": lambda: client.get_schema(descriptor, proxy),
        "do_get": lambda: client.do_get(ticket("rows"), proxy).read_all(),
    }
    # pyarrow's GetSchema does not tell the kind of an error.
    with pytest.raises((flight.FlightUnauthenticatedError, OSError), match="Send the header"):
        calls[method]()
    wait_until(lambda: len(lines(call_log)) == 1)
    [line] = lines(call_log)
    assert (line["method"], line["status"]) == (method, "unauthenticated")
    assert line["forwarded_for"] == "10.0.0.7"


def test_every_method_refuses_a_call_without_a_token(
    client: flight.FlightClient, flights: Flights
) -> None:
    descriptor = flight.FlightDescriptor.for_command(Made(kind="rows").encode())
    schema = pa.schema([("a", pa.int64())])
    calls: list[Callable[[], Any]] = [
        lambda: list(client.list_flights()),
        lambda: list(client.list_actions()),
        lambda: client.get_flight_info(descriptor),
        lambda: client.get_schema(descriptor),
        lambda: client.do_get(ticket("rows")).read_all(),
        lambda: list(client.do_action("HealthCheck")),
        lambda: client.do_put(descriptor, schema)[0].close(),
        lambda: client.do_exchange(descriptor)[1].read_chunk(),
    ]
    for call in calls:
        # pyarrow's GetSchema does not tell the kind of an error.
        with pytest.raises((flight.FlightUnauthenticatedError, OSError), match="Send the header"):
            call()
    assert flights.asked == 0


class Headers(flight.ClientMiddlewareFactory):
    """Keeps the headers that a client receives."""

    def __init__(self) -> None:
        super().__init__()
        self.received: dict[str, list[str]] = {}

    def start_call(self, info: flight.CallInfo) -> flight.ClientMiddleware:
        received = self.received

        class Keep(flight.ClientMiddleware):
            def received_headers(self, headers: dict[str, list[str]]) -> None:
                received.update(headers)

        return Keep()


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-123", True), ("two words", False), ("x" * 129, False)]
)
def test_the_request_id_is_returned(sent: str, kept: bool, flights: Flights) -> None:
    headers = Headers()
    with (
        start_server(flights) as server,
        flight.connect(str(server.address), middleware=[headers]) as client,
    ):
        given = flight.FlightCallOptions(headers=[(b"x-request-id", sent.encode())])
        client.do_get(ticket("rows"), given).read_all()
    [returned] = headers.received["x-request-id"]
    assert (returned == sent) is kept
    assert kept or re.fullmatch(r"[0-9a-f]{16}", returned)


def test_values_cannot_add_lines_to_the_text_log() -> None:
    record = logging.makeLogRecord(
        {"msg": "call", "fields": {"user": "ada\nroot", "what": 'a "b"', "rows": 3, "error": None}}
    )
    line = TextLines("%(message)s").format(record)
    assert line == 'call user="ada\\nroot" what="a \\"b\\"" rows=3'


def test_samples_are_exposed_with_their_definitions() -> None:
    def sampler() -> list[Sample]:
        return [Sample(UP, 1, ("log",)), Sample(UP, 0, ("analytics",))]

    text = generate_latest(Metrics([sampler]).registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    found = {s.labels["dependency"]: s.value for s in families[UP.name].samples}
    assert found == {"log": 1, "analytics": 0}


def test_the_monitoring_page_lists_every_metric() -> None:
    row = re.compile(r"^\| `(fraiseql_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \|$", re.MULTILINE)
    written = [
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in row.findall(PAGE.read_text())
    ]
    defined = [(one.name, one.kind, one.labels, one.meaning) for one in DEFINITIONS]
    assert written == defined
