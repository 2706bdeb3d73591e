"""The tickets of endpoints are valid only unchanged, and only for the principal that got them."""

from collections.abc import Iterator
from typing import Any

import pytest
from pyarrow import flight
from pydantic import SecretStr

from flight_service.authentication import Principal
from flight_service.errors import Forbidden
from flight_service.server import FlightServer
from flight_service.signed_tickets import MARK, SignedTickets
from flight_service.sql.commands import SqlCommand, pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from fraiseql_assets.settings import Settings
from tests.tokens import signed
from tests.unit.flight_server import SECRET, Flights, Made, start_server

TICKET = b'{"type":"Made","kind":"whoami"}'
GUARDED = Settings(jwt_secret=SecretStr(SECRET))
ADA, EVE = Principal("ada"), Principal("eve")
REFUSED = "The ticket is another principal's, or was altered"


@pytest.fixture(scope="module")
def server() -> Iterator[FlightServer]:
    with start_server(Flights(), jwt_secret=SECRET) as served:
        yield served


@pytest.fixture
def client(server: FlightServer) -> Iterator[flight.FlightClient]:
    with flight.connect(str(server.address)) as client:
        yield client


def calling(subject: str, **claims: Any) -> flight.FlightCallOptions:
    token = signed(SECRET, sub=subject, **claims)
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


def given(client: flight.FlightClient, options: flight.FlightCallOptions) -> flight.Ticket:
    info = client.get_flight_info(flight.FlightDescriptor.for_command(TICKET), options)
    return info.endpoints[0].ticket


def test_the_principal_of_an_endpoint_reads_it(client: flight.FlightClient) -> None:
    ticket = given(client, calling("ada"))
    assert client.do_get(ticket, calling("ada", other="claim")).read_all().num_rows == 1
    as_command = flight.FlightDescriptor.for_command(ticket.ticket)
    assert client.get_schema(as_command, calling("ada")).schema.names == ["n", "text"]


@pytest.mark.parametrize(
    "other",
    [
        calling("eve"),
        calling("ada", tenant_id="other"),
        calling("ada", scope="more"),
        calling("ada", role="more"),
    ],
)
def test_another_principal_is_refused(
    client: flight.FlightClient, other: flight.FlightCallOptions
) -> None:
    with pytest.raises(flight.FlightUnauthorizedError, match=REFUSED):
        client.do_get(given(client, calling("ada")), other).read_all()


def test_an_altered_ticket_is_refused(client: flight.FlightClient) -> None:
    ticket = given(client, calling("ada")).ticket
    signature = len(MARK)
    for altered in (
        ticket.replace(b"whoami", b"rows"),
        ticket[:signature] + bytes([ticket[signature] ^ 1]) + ticket[signature + 1 :],
        ticket[:-1],
        ticket + b" ",
        MARK,
        MARK + TICKET,
    ):
        with pytest.raises(flight.FlightUnauthorizedError, match=REFUSED):
            client.do_get(flight.Ticket(altered), calling("ada")).read_all()


def test_a_listed_ticket_is_signed_too(client: flight.FlightClient) -> None:
    [first, *_] = client.list_flights(b"", calling("ada"))
    assert client.do_get(first.endpoints[0].ticket, calling("ada")).read_all().num_rows
    with pytest.raises(flight.FlightUnauthorizedError, match=REFUSED):
        client.do_get(first.endpoints[0].ticket, calling("eve")).read_all()


def test_a_ticket_that_a_client_writes_needs_no_signature(client: flight.FlightClient) -> None:
    read = client.do_get(flight.Ticket(TICKET), calling("eve")).read_all()
    assert read["text"].to_pylist() == ["eve None []"]


def test_without_tokens_tickets_are_not_signed() -> None:
    with start_server(Flights()) as served, flight.connect(str(served.address)) as client:
        assert given(client, flight.FlightCallOptions()).ticket == TICKET


def test_processes_with_one_secret_accept_each_others_tickets() -> None:
    signed = SignedTickets(GUARDED).sign(Made(kind="rows"), ADA)
    assert SignedTickets(GUARDED).verify(signed, ADA) == Made(kind="rows").encode()
    other = GUARDED.model_copy(update={"session_secret": SecretStr("another secret " * 3)})
    with pytest.raises(Forbidden, match=REFUSED):
        SignedTickets(other).verify(signed, ADA)
    with pytest.raises(Forbidden, match=REFUSED):
        SignedTickets(GUARDED).verify(signed, EVE)


def test_the_ticket_of_a_statement_is_signed_once() -> None:
    tickets = SignedTickets(GUARDED)
    statement = pack(protocol.TicketStatementQuery(statement_handle=b"h"))
    assert tickets.sign(SqlCommand(packed=statement), ADA) == statement
    tables = pack(protocol.CommandGetTables())
    assert tickets.sign(SqlCommand(packed=tables), ADA).startswith(MARK)
