"""Every method of Flight, as pyarrow calls it and as no library would: with messages that are cut
off, of another type, empty or out of order. Each has the one right status, and the service lives.

gRPC itself answers what is no message (INTERNAL), and Arrow's server a stream that does not begin
with a descriptor and a schema (UNKNOWN). The service answers everything else.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pyarrow as pa
import pytest
from google.protobuf.message import Message
from pyarrow import flight

from flight_service.addresses import Address
from flight_service.registry import registry
from flight_service.server import FlightServer
from flight_service.sql.commands import pack
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.sql.protocol import FlightSql_pb2 as sql
from fraiseql_assets.settings import Settings

SERVICE = "/arrow.flight.protocol.FlightService/"
METHODS = {
    "Handshake": "stream_stream",
    "ListFlights": "unary_stream",
    "GetFlightInfo": "unary_unary",
    "PollFlightInfo": "unary_unary",
    "GetSchema": "unary_unary",
    "DoGet": "unary_stream",
    "DoPut": "stream_stream",
    "DoExchange": "stream_stream",
    "DoAction": "unary_stream",
    "ListActions": "unary_stream",
}
OK, INVALID, MISSING = "OK", "INVALID_ARGUMENT", "NOT_FOUND"
UNIMPLEMENTED, BROKEN, UNREADABLE = "UNIMPLEMENTED", "INTERNAL", "UNKNOWN"
NO_MESSAGE = b"\xff"
NO_UTF8 = b"\xff\xfe"
SECONDS = 20
PATH, CMD = base.FlightDescriptor.PATH, base.FlightDescriptor.CMD


def described(**fields: Any) -> bytes:
    return base.FlightDescriptor(**fields).SerializeToString()


def command(message: Message) -> bytes:
    return described(type=CMD, cmd=pack(message))


def ticket(data: bytes) -> bytes:
    return base.Ticket(ticket=data).SerializeToString()


def action(name: str, body: bytes = b"") -> bytes:
    return base.Action(type=name, body=body).SerializeToString()


def data(descriptor: bytes | None = None, **fields: Any) -> bytes:
    """A message of DoPut or DoExchange."""
    if descriptor is not None:
        fields["flight_descriptor"] = base.FlightDescriptor.FromString(descriptor)
    return base.FlightData(**fields).SerializeToString()


def header(message: pa.Buffer) -> bytes:
    """The metadata of an IPC message, without what comes before and behind it in a stream."""
    [size] = struct.unpack("<i", message.to_pybytes()[4:8])
    return message.to_pybytes()[8 : 8 + size]


SCHEMA = pa.schema([("a", pa.int64())])
SCHEMA_HEADER = header(SCHEMA.serialize())
BATCH_HEADER = header(pa.record_batch([pa.array([1])], SCHEMA).serialize())
ASSET = described(type=PATH, path=["analytics/events"])
SQL_INFO = pack(sql.CommandGetSqlInfo())
UNPREPARED = command(sql.CommandPreparedStatementQuery(prepared_statement_handle=b"none"))
UNPREPARED_QUERY = pack(sql.ActionClosePreparedStatementRequest())
FORGED = pack(sql.TicketStatementQuery(statement_handle=b"forged"))
LARGE = b"x" * 300_000


@dataclass(frozen=True)
class Case:
    """What is sent to a method, and the status that it must have."""

    method: str
    status: str
    messages: tuple[bytes, ...]
    said: str = ""
    """What the error says."""


def case(method: str, status: str, *messages: bytes, said: str = "") -> Case:
    return Case(method, status, messages, said)


CASES = [
    *(
        case(method, BROKEN, NO_MESSAGE)
        for method, kind in METHODS.items()
        if kind != "stream_stream"
    ),
    *(
        case(method, INVALID, message, said=said)
        for method in ("GetFlightInfo", "GetSchema")
        for message, said in (
            (b"", "UNKNOWN descriptor"),
            (described(cmd=b"x"), "UNKNOWN descriptor"),
            (b"\x08\x63", "UNKNOWN descriptor"),
            (described(type=PATH), "The descriptor is empty"),
            (described(type=CMD), "The ticket is empty"),
            (described(type=CMD, cmd=NO_UTF8), "UTF-8"),
            (described(type=PATH, path=["{"]), "no JSON"),
            (described(type=CMD, cmd=SQL_INFO[:-1]), "no whole Any"),
        )
    ),
    case("GetFlightInfo", BROKEN, ASSET[:-2]),
    case("GetFlightInfo", MISSING, described(type=PATH, path=["a", "b"]), said="no asset 'a/b'"),
    case("GetFlightInfo", UNIMPLEMENTED, command(sql.CommandStatementSubstraitPlan())),
    case("GetFlightInfo", INVALID, command(sql.ActionCancelQueryResult()), said="is no command"),
    case("GetFlightInfo", INVALID, UNPREPARED, said="no such prepared statement"),
    case("GetFlightInfo", OK, described(type=CMD, cmd=SQL_INFO)),
    case("GetSchema", OK, ASSET),
    case("PollFlightInfo", UNIMPLEMENTED, ASSET),
    case("DoGet", OK, ticket(SQL_INFO)),
    *(
        case("DoGet", INVALID, message, said=said)
        for message, said in (
            (b"", "The ticket is empty"),
            (ticket(NO_UTF8), "UTF-8"),
            (ticket(b"[" * 100_000), "does not fit"),
            (ticket(LARGE), "at most 262,144 bytes"),
            (ticket(b'{"type":"Asset"}'), "lacks the field `asset`"),
            (ticket(b'{"type":"Nothing"}'), "no ticket of type 'Nothing'"),
            (ticket(SQL_INFO[:-1]), "no whole Any"),
            (ticket(FORGED), "not of this service"),
        )
    ),
    case("DoGet", MISSING, ticket(b"\x00"), said="no asset"),
    case("ListFlights", OK, base.Criteria(expression=NO_UTF8).SerializeToString()),
    case("ListActions", OK, b""),
    case("DoAction", OK, action("HealthCheck")),
    case("DoAction", BROKEN, b"\x0a\x02" + NO_UTF8),
    case("DoAction", BROKEN, action("HealthCheck")[:-1]),
    *(
        case("DoAction", INVALID, action(name, body), said=said)
        for name, body, said in (
            ("", b"", "There is no action ''"),
            ("Nothing", b"", "There is no action 'Nothing'"),
            ("HealthCheck", LARGE, "at most 262,144 bytes"),
            ("MaterializeAsset", b"", "no JSON"),
            ("CreatePreparedStatement", NO_MESSAGE, "no whole Any"),
            ("CreatePreparedStatement", UNPREPARED_QUERY, "This takes ActionCreatePrepared"),
            ("ClosePreparedStatement", b"", "no Flight SQL message"),
            ("CancelFlightInfo", NO_MESSAGE, "no whole CancelFlightInfoRequest"),
            ("CancelFlightInfo", b"", "no endpoint"),
            ("SetSessionOptions", NO_MESSAGE, "no whole SetSessionOptionsRequest"),
        )
    ),
    case("DoAction", UNIMPLEMENTED, action("BeginTransaction"), said="no transactions"),
    *(
        case(method, UNREADABLE, *messages)
        for method in ("DoPut", "DoExchange")
        for messages in (
            (),
            (b"",),
            (NO_MESSAGE,),
            (data(),),
            (data(data_header=SCHEMA_HEADER),),
            (data(data_header=BATCH_HEADER), data(UNPREPARED, data_header=SCHEMA_HEADER)),
        )
    ),
    case("DoPut", INVALID, data(UNPREPARED), said="no such prepared statement"),
    case("DoPut", INVALID, data(UNPREPARED, data_header=SCHEMA_HEADER)),
    case("DoPut", UNREADABLE, data(UNPREPARED, data_header=b"\xff" * 4)),
    case("DoPut", UNREADABLE, data(UNPREPARED, data_header=SCHEMA_HEADER[:-40])),
    case("DoPut", UNREADABLE, data(UNPREPARED, data_header=BATCH_HEADER, data_body=b"\x00" * 8)),
    case("DoPut", UNIMPLEMENTED, data(ASSET, data_header=SCHEMA_HEADER), NO_MESSAGE),
    case("DoPut", UNIMPLEMENTED, data(command(sql.CommandStatementUpdate()), data_header=b"")),
    case("DoExchange", INVALID, data(ASSET, data_header=SCHEMA_HEADER), said="no request"),
    case("Handshake", "UNAUTHENTICATED"),
    case("Handshake", "UNAUTHENTICATED", NO_MESSAGE),
    case("Handshake", "UNAUTHENTICATED", base.HandshakeRequest(payload=b"x").SerializeToString()),
]


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    settings = Settings(operational_plane=False, probe_timeout_seconds=0.1)
    server = FlightServer(
        Address.parse("grpc://127.0.0.1:0", "", "grpc"), settings, registry(settings)
    )
    yield server.address
    server.stop(5)


@pytest.fixture(scope="module")
def channel(address: Address) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"{address.host}:{address.port}") as channel:
        yield channel


def call(channel: grpc.Channel, method: str, messages: tuple[bytes, ...]) -> tuple[str, str]:
    """The status and the message of a call with these bytes."""
    kind = METHODS[method]
    invoke = getattr(channel, kind)(SERVICE + method)
    request = iter(messages) if kind == "stream_stream" else messages[0]
    try:
        answer = invoke(request, timeout=SECONDS)
        if kind.endswith("stream"):
            list(answer)
    except grpc.RpcError as raised:
        error: Any = raised
        return error.code().name, error.details() or ""
    return OK, ""


@pytest.mark.parametrize(
    "sent", [pytest.param(one, id=f"{one.method} {n}") for n, one in enumerate(CASES)]
)
def test_a_malformed_call_has_the_expected_status(
    address: Address, channel: grpc.Channel, sent: Case
) -> None:
    status, message = call(channel, sent.method, sent.messages)
    assert (status, sent.said in message) == (sent.status, True), message
    assert "Traceback" not in message
    with flight.connect(str(address)) as client:
        assert [*client.do_action("HealthCheck")]


def test_an_abandoned_stream_does_not_harm_the_service(
    address: Address, channel: grpc.Channel
) -> None:
    def half() -> Iterator[bytes]:
        yield data(UNPREPARED, data_header=SCHEMA_HEADER)
        raise ValueError("the client breaks")

    with pytest.raises(grpc.RpcError):
        list(channel.stream_stream(SERVICE + "DoPut")(half(), timeout=SECONDS))
    with flight.connect(str(address)) as client:
        assert [*client.do_action("HealthCheck")]


def test_pyarrow_calls_every_method(address: Address) -> None:
    descriptor = flight.FlightDescriptor.for_command(SQL_INFO)
    with flight.connect(str(address)) as client:
        info = client.get_flight_info(descriptor)
        assert client.get_schema(descriptor).schema == info.schema
        assert client.do_get(info.endpoints[0].ticket).read_all().schema == info.schema
        assert "HealthCheck" in {one.type for one in client.list_actions()}
        assert [*client.do_action("HealthCheck")]
        assert [*client.list_flights(b"nothing")] == []
        nothing = flight.FlightDescriptor.for_path("nothing")
        with pytest.raises(pa.ArrowNotImplementedError):
            put(client, nothing)
        with pytest.raises(pa.ArrowInvalid, match="The stream has no request"):
            exchanged(client, nothing)


def put(client: flight.FlightClient, descriptor: flight.FlightDescriptor) -> None:
    writer, receipts = client.do_put(descriptor, SCHEMA)
    writer.close()
    receipts.read()


def exchanged(client: flight.FlightClient, descriptor: flight.FlightDescriptor) -> list[Any]:
    """The answers to no request."""
    writer, answers = client.do_exchange(descriptor)
    writer.done_writing()
    with writer:
        return [*answers]
