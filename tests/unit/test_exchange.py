"""DoExchange with fake flights: several requests on one stream, and how each ends.

The fake flights and the client are part of it, so the file is longer than others.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pyarrow as pa
import pytest
from pyarrow import flight

from flight_service.addresses import Address
from flight_service.assets import named
from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.exchange.envelope import MAX_BYTES
from flight_service.exchange.replies import WITHIN_BYTES
from flight_service.exchange.service import Exchange
from flight_service.flights import Flight
from flight_service.graphql.service import GraphQL
from flight_service.graphql.transport.flight import GraphQLQuery
from flight_service.limits import StreamLimits
from flight_service.registry import Registry, writing
from flight_service.server import FlightServer
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.tail import Tail
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings
from tests.tokens import signed
from tests.unit.flight_server import SECRET

NUMBERS = pa.schema([("n", pa.int64())])
TEXTS = pa.schema([("text", pa.utf8())])


def numbers(*values: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"n": values}, NUMBERS)


class Flights:
    """Queries that behave as their texts say, and subscriptions that go on until cancelled."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.running = 0
        self.most = 0
        self.cancelled: list[str] = []
        self._lock = threading.Lock()

    def query(self, ticket: GraphQLQuery, principal: Principal) -> Flight:
        match ticket.query.strip("{}").split():
            case ["numbers", count]:
                return self._flight(NUMBERS, lambda _: iter([numbers(*range(int(count)))]))
            case ["texts", count]:
                batch = pa.RecordBatch.from_pydict({"text": ["é" * 1000] * int(count)}, TEXTS)
                return self._flight(TEXTS, lambda _: iter([batch]))
            case ["none"]:
                return self._flight(NUMBERS, lambda _: iter([]))
            case ["wait", name]:
                return self._flight(NUMBERS, lambda one: self._wait(name, one))
            case ["fail"]:
                return self._flight(NUMBERS, self._fail)
            case ["bug"]:
                raise KeyError("a secret of the code")
        raise InvalidRequest("There is no such field. Take another.")

    def tail(self, ticket: Tail, principal: Principal) -> Flight:
        name = ticket.entity_type if isinstance(ticket.entity_type, str) else "all"
        return self._flight(NUMBERS, lambda one: self._wait(name, one))

    def _flight(
        self, schema: pa.Schema, stream: Callable[[Cancellation], Iterator[pa.RecordBatch]]
    ) -> Flight:
        return Flight(schema, stream)

    def _fail(self, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        yield numbers(1)
        raise InvalidRequest("It broke. Try again.")

    def _wait(self, name: str, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        woken = threading.Event()
        cancellation.then(woken.set)
        try:
            yield numbers(0)
            while not woken.wait(0.005) and not self.may_go_on.is_set():
                pass
            if cancellation.over:
                self.cancelled.append(name)
                raise RuntimeError("the database says that its query was cancelled")
            yield numbers(1)
        finally:
            with self._lock:
                self.running -= 1


@pytest.fixture
def flights() -> Flights:
    return Flights()


@contextmanager
def serving(flights: Flights, **changes: Any) -> Iterator[FlightServer]:
    settings = Settings.model_validate(changes)
    limits = StreamLimits(settings)
    exchange = Exchange(
        {GraphQLQuery: flights.query, Tail: flights.tail},
        named,
        writing(settings, GraphQL(settings)),
        limits,
        2,
        settings.graphql_stall_seconds,
    )
    registry = Registry({Tail: flights.tail}, named, (), exchange=exchange, limits=limits)
    running = FlightServer(Address("grpc", "127.0.0.1", 0, "X"), settings, registry)
    yield running
    flights.may_go_on.set()
    running.stop(10)


@pytest.fixture
def server(flights: Flights) -> Iterator[FlightServer]:
    with serving(flights) as running:
        yield running


class Client:
    """One stream."""

    def __init__(self, url: str, token: str) -> None:
        self.connection = flight.connect(url)
        descriptor = flight.FlightDescriptor.for_path("exchange")
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        options = flight.FlightCallOptions(headers=headers)
        self.writer, self.reader = self.connection.do_exchange(descriptor, options)
        self.longest = 0
        """The size of the longest envelope so far."""

    def send(self, message: bytes) -> None:
        self.writer.write_metadata(message)

    def ask(self, correlation_id: str, **types: Any) -> None:
        body = {"correlation_id": correlation_id, "request_type": types}
        self.send(json.dumps({"Request": body}).encode())

    def query(self, correlation_id: str, text: str) -> None:
        self.ask(correlation_id, Query={"query": f"{{{text}}}", "variables": None})

    def answer(self) -> tuple[dict[str, Any], pa.RecordBatch | None]:
        """The next answer, and the batch beside it."""
        chunk = self.reader.read_chunk()
        self.longest = max(self.longest, chunk.app_metadata.size)
        return json.loads(chunk.app_metadata.to_pybytes()), chunk.data

    def result(self) -> tuple[str, Any]:
        """The next answer: its correlation id, and what it says."""
        answer, batch = self.answer()
        if "Complete" in answer:
            return answer["Complete"]["correlation_id"], "complete"
        response = answer["Response"]
        if batch is not None:
            return response["correlation_id"], batch.to_pydict()
        if "Err" in response["result"]:
            return response["correlation_id"], response["result"]["Err"]
        data = bytes(response["result"]["Ok"])
        if response.get("content_type"):
            return response["correlation_id"], pa.ipc.open_stream(data).read_all()
        return response["correlation_id"], data.decode()

    def close(self) -> None:
        self.reader.cancel()
        with contextlib.suppress(pa.ArrowException):
            self.writer.close()
        self.connection.close()


@contextmanager
def opened(server: FlightServer, token: str = "") -> Iterator[Client]:
    client = Client(str(server.address), token)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def client(server: FlightServer) -> Iterator[Client]:
    with opened(server) as one:
        yield one


def test_a_query_is_answered_with_batches_and_its_end(client: Client) -> None:
    client.query("u1", "numbers 3")
    assert client.result() == ("u1", {"n": [0, 1, 2]})
    assert client.result() == ("u1", "complete")


def test_a_result_of_another_schema_is_sent_within_the_envelope(client: Client) -> None:
    client.query("u1", "numbers 1")
    assert [client.result(), client.result()] == [("u1", {"n": [0]}), ("u1", "complete")]
    client.query("u2", "texts 200")
    tables = []
    while (found := client.result()) != ("u2", "complete"):
        tables.append(found[1])
    # FraiseQL's own clients take no larger ones.
    assert client.longest <= MAX_BYTES
    assert pa.concat_tables(tables).num_rows == 200
    assert {table.schema for table in tables} == {TEXTS}
    # 200 rows of 2,000 bytes do not fit into one envelope.
    assert len(tables) > 200 * 2000 / WITHIN_BYTES
    client.query("u3", "numbers 1")
    assert client.result() == ("u3", {"n": [0]})


def test_an_empty_result_has_its_schema(client: Client) -> None:
    client.query("u1", "none")
    assert client.result() == ("u1", {"n": []})
    assert client.result() == ("u1", "complete")


def test_requests_are_answered_while_others_run(client: Client, flights: Flights) -> None:
    client.query("slow", "wait a")
    assert client.result() == ("slow", {"n": [0]})
    client.query("fast", "numbers 2")
    assert [client.result(), client.result()] == [("fast", {"n": [0, 1]}), ("fast", "complete")]
    flights.may_go_on.set()
    assert [client.result(), client.result()] == [("slow", {"n": [1]}), ("slow", "complete")]


def test_requests_above_the_limit_wait(client: Client, flights: Flights) -> None:
    for number in range(6):
        client.query(f"u{number}", f"wait {number}")
    found = [client.result() for _ in range(2)]
    assert sorted(found) == [("u0", {"n": [0]}), ("u1", {"n": [0]})]
    flights.may_go_on.set()
    ends = [client.result() for _ in range(6 * 3 - 2)]
    assert sorted(one for one, said in ends if said == "complete") == [f"u{n}" for n in range(6)]
    assert flights.most == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "There is no such field. Take another."),
        ("bug", "The service failed on this call. Its log says why, under error"),
    ],
)
def test_an_error_is_answered_under_its_correlation_id(
    client: Client, text: str, said: str
) -> None:
    client.query("u1", text)
    correlation_id, error = client.result()
    assert (correlation_id, error[: len(said)]) == ("u1", said)
    client.query("u2", "numbers 1")
    assert client.result() == ("u2", {"n": [0]})


def test_an_error_within_a_result_is_answered_under_its_correlation_id(client: Client) -> None:
    client.query("u1", "fail")
    assert client.result() == ("u1", {"n": [1]})
    assert client.result() == ("u1", "It broke. Try again.")


def test_an_invalid_envelope_is_answered_and_the_stream_continues(client: Client) -> None:
    client.send(b"nonsense")
    client.send(b'{"Request":{"correlation_id":"u7","request_type":{"Query":{}}}}')
    client.send(b'{"Request":{"correlation_id":"u8"}}'.ljust(MAX_BYTES + 1))
    client.ask("u9", Subscribe={"colour": "red"})
    client.query("u10", "numbers 1")
    found = [client.result() for _ in range(5)]
    assert [one for one, _ in found] == ["", "u7", "u8", "u9", "u10"]
    assert "cannot be read" in found[0][1]
    assert "missing required field" in found[1][1]
    assert "at most 262,144 bytes" in found[2][1]
    assert "unknown field" in found[3][1]


def test_a_message_without_an_envelope_is_answered(client: Client) -> None:
    client.writer.begin(NUMBERS)
    client.writer.write_batch(numbers(1))
    assert "envelope" in client.result()[1]


def test_all_results_are_sent_after_the_client_closes_its_side(client: Client) -> None:
    client.query("u1", "numbers 1")
    client.query("u2", "numbers 2")
    client.writer.done_writing()
    found = [client.result() for _ in range(4)]
    assert sorted(one for one, said in found if said == "complete") == ["u1", "u2"]
    with pytest.raises(StopIteration):
        client.reader.read_chunk()


def test_a_complete_message_does_not_end_a_subscription(client: Client, flights: Flights) -> None:
    client.ask("s1", Subscribe={"entity_type": "Order"})
    client.send(b'{"Complete":{"correlation_id":"s1"}}')
    assert client.result() == ("s1", "Subscribed to Order")
    assert client.result() == ("s1", {"n": [0]})
    flights.may_go_on.set()
    assert client.result() == ("s1", {"n": [1]})


def test_a_request_is_cancelled_by_another(client: Client, flights: Flights) -> None:
    client.ask("s1", Subscribe={"entity_type": "Order"})
    assert [client.result(), client.result()] == [
        ("s1", "Subscribed to Order"), ("s1", {"n": [0]}),
    ]  # fmt: skip
    client.ask("u1", Cancel={"correlation_id": "s1"})
    found = [client.result(), client.result()]
    assert sorted(found) == [("s1", "The request was cancelled."), ("u1", "Cancelled")]
    assert flights.cancelled == ["Order"]
    client.ask("u2", Cancel={"correlation_id": "s1"})
    assert client.result() == ("u2", "No request 's1' runs.")


def test_a_disconnect_cancels_all_requests_of_the_stream(
    server: FlightServer, flights: Flights
) -> None:
    with opened(server) as client:
        client.query("u1", "wait a")
        client.ask("s1", Subscribe={"entity_type": "b"})
        for _ in range(3):
            client.result()
    ended = threading.Event()
    for _ in range(1000):
        if sorted(flights.cancelled) == ["a", "b"]:
            break
        ended.wait(0.01)
    assert sorted(flights.cancelled) == ["a", "b"]


def test_a_subscription_above_the_limit_is_answered_with_an_error(client: Client) -> None:
    for number in range(3):
        client.ask(f"s{number}", Subscribe={"entity_type": "Order"})
    found = [client.result() for _ in range(5)]
    assert [one for one, said in found if "FRAISEQL_EXCHANGE_REQUESTS" in str(said)] == ["s2"]
    client.query("u1", "numbers 1")
    assert client.result() == ("u1", {"n": [0]})


def test_a_correlation_id_in_use_is_refused(client: Client) -> None:
    client.query("u1", "wait a")
    assert client.result() == ("u1", {"n": [0]})
    client.query("u1", "numbers 1")
    assert "Take another id" in client.result()[1]


def test_an_idle_stream_counts_for_its_principal(flights: Flights) -> None:
    token = signed(SECRET, sub="ann")
    with (
        serving(flights, jwt_secret=SECRET, principal_streams=1) as server,
        opened(server, token) as one,
    ):
        one.query("u1", "numbers 1")
        assert "FRAISEQL_PRINCIPAL_STREAMS" in one.result()[1]
        with (
            opened(server, token) as other,
            pytest.raises(flight.FlightUnavailableError, match="FRAISEQL_PRINCIPAL_STREAMS"),
        ):
            other.result()


def test_an_expired_token_cannot_send_further_requests(
    flights: Flights, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serving(flights, jwt_secret=SECRET) as server,
        opened(server, signed(SECRET, sub="ann")) as client,
    ):
        client.query("u1", "numbers 1")
        assert [client.result(), client.result()] == [("u1", {"n": [0]}), ("u1", "complete")]
        later = SimpleNamespace(time=lambda: 2.0**40)
        monkeypatch.setattr("flight_service.identity.tokens.time", later)
        client.query("u2", "numbers 1")
        assert client.result() == ("u2", "The token has expired. Get a new one.")


def test_a_disabled_upload_is_answered_with_an_error(client: Client) -> None:
    client.ask("u1", Upload={"table": "events", "batch": [1]})
    assert "FRAISEQL_WRITABLE" in client.result()[1]


def test_a_service_that_stops_answers_open_requests(client: Client, server: FlightServer) -> None:
    client.ask("s1", Subscribe={})
    assert client.result() == ("s1", "Subscribed to every entity type")
    assert client.result() == ("s1", {"n": [0]})
    server.drain()
    assert client.result() == ("s1", "The service is stopping. Ask again in a moment.")


@contextmanager
def answering(
    server: FlightServer, messages: Iterator[base.FlightData]
) -> Iterator[Iterator[dict[str, Any]]]:
    """The answers that a client of gRPC gets, which sends what no library of Arrow does."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.stream_stream(
            "/arrow.flight.protocol.FlightService/DoExchange",
            base.FlightData.SerializeToString,
            base.FlightData.FromString,
        )
        answers = call(messages, timeout=10)
        yield (json.loads(one.app_metadata) for one in answers if one.app_metadata)


def raw(server: FlightServer, *messages: base.FlightData) -> list[dict[str, Any]]:
    with answering(server, iter(messages)) as answers:
        return list(answers)


PATH = base.FlightDescriptor(type=base.FlightDescriptor.PATH, path=["exchange"])


def envelope_of(**types: Any) -> bytes:
    body = {"correlation_id": "u1", "request_type": types}
    return json.dumps({"Request": body}).encode()


def test_empty_messages_are_ignored(server: FlightServer) -> None:
    request = base.FlightData(app_metadata=envelope_of(Cancel={"correlation_id": "x"}))
    first = base.FlightData(flight_descriptor=PATH)
    empty = base.FlightData()
    assert len(raw(server, first, empty, request, empty, empty, request)) == 2


def test_a_client_of_fraiseql_puts_a_descriptor_before_its_requests(server: FlightServer) -> None:
    """The messages of FraiseQL's Rust client, with the one that docs/writing.md adds."""
    query = {"query": "{numbers 3}", "variables": None}
    request = base.FlightData(app_metadata=envelope_of(Query=query))
    answers = raw(server, base.FlightData(flight_descriptor=PATH), request)
    assert [next(iter(answer)) for answer in answers] == ["Response", "Complete"]


@pytest.mark.parametrize(
    ("descriptor", "status", "message"),
    [
        (None, grpc.StatusCode.UNKNOWN, "Descriptor missing on first message"),
        (PATH, grpc.StatusCode.INVALID_ARGUMENT, "in a message of its own"),
    ],
    ids=["none", "beside a request"],
)
def test_a_request_in_the_first_message_is_an_error(
    server: FlightServer,
    descriptor: base.FlightDescriptor | None,
    status: grpc.StatusCode,
    message: str,
) -> None:
    """Arrow's server wants a descriptor there, and drops what stands beside it."""
    first = base.FlightData(
        flight_descriptor=descriptor, app_metadata=envelope_of(Query={"query": "{numbers 3}"})
    )
    with pytest.raises(grpc.RpcError) as raised:
        raw(server, first)
    error: Any = raised.value
    assert error.code() == status
    assert message in error.details()


def test_a_stream_without_a_request_is_answered_while_it_is_open(flights: Flights) -> None:
    request = envelope_of(Query={"query": "{numbers 3}"})
    is_answered = threading.Event()

    def sent() -> Iterator[base.FlightData]:
        yield base.FlightData(flight_descriptor=PATH, app_metadata=request)
        is_answered.wait()
        yield base.FlightData(app_metadata=request)

    with (
        serving(flights, graphql_stall_seconds=0.01) as server,
        answering(server, sent()) as answers,
    ):
        try:
            response = next(answers)["Response"]
        finally:
            is_answered.set()
        assert response["correlation_id"] == ""
        assert "in a message of its own" in response["result"]["Err"]
        # It is the same stream, and takes requests still.
        assert [next(iter(answer)) for answer in answers] == ["Response", "Complete"]


def test_a_stream_with_a_request_is_not_reminded_of_one(client: Client) -> None:
    client.ask("s1", Subscribe={})
    assert client.result() == ("s1", "Subscribed to every entity type")
    reminders = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    assert [one for one in reminders if "exchange" in one.name] == []
