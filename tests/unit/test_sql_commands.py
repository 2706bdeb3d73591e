"""Flight SQL's messages as bytes: whole ones are read, all others refused with a sentence."""

import contextlib

import pytest
from google.protobuf.any_pb2 import Any as Packed
from hypothesis import given
from hypothesis import strategies as st

from flight_service.errors import InvalidRequest
from flight_service.sql.commands import decode, expected, is_command, pack, parsed
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.sql.protocol import FlightSql_pb2 as protocol

COMMANDS = [
    protocol.CommandStatementQuery(query="SELECT 1"),
    protocol.CommandPreparedStatementQuery(prepared_statement_handle=b"x"),
    protocol.CommandGetTables(catalog="a", table_types=["TABLE"], include_schema=True),
    protocol.CommandGetSqlInfo(info=[1, 2, 3]),
    protocol.CommandGetCatalogs(),
    protocol.TicketStatementQuery(statement_handle=b"handle"),
    protocol.ActionCreatePreparedStatementRequest(query="SELECT ?"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: type(one).__name__)
def test_a_command_round_trips(command: protocol.CommandStatementQuery) -> None:
    packed = pack(command)
    assert is_command(packed)
    assert decode(packed) == command
    assert expected(packed, type(command)) == command


@pytest.mark.parametrize("data", [b'{"type":"Asset"}', b"analytics/events", b"", b"\n", b"[]"])
def test_a_ticket_is_not_a_command(data: bytes) -> None:
    assert not is_command(data)


@pytest.mark.parametrize(
    "url",
    [
        "type.googleapis.com/arrow.flight.protocol.sql.Nothing",
        "type.googleapis.com/arrow.flight.protocol.sql.",
        "type.googleapis.com/arrow.flight.protocol.sql.SqlInfo",
        "type.googleapis.com/arrow.flight.protocol.sql.DESCRIPTOR",
        "type.googleapis.com/google.protobuf.Any",
        "x/arrow.flight.protocol.sql.CommandGetCatalogs",
        "",
    ],
)
def test_an_unknown_message_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="no Flight SQL message"):
        decode(Packed(type_url=url).SerializeToString())


def test_an_unexpected_message_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="takes ActionClosePreparedStatementRequest"):
        expected(pack(COMMANDS[0]), protocol.ActionClosePreparedStatementRequest)


def test_a_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at most"):
        decode(pack(protocol.CommandStatementQuery(query="x" * 300_000)))


WHOLE = st.sampled_from([pack(one) for one in COMMANDS])
CUT = st.builds(lambda data, at: data[:at], WHOLE, st.integers(0, 80))
CHANGED = st.builds(
    lambda data, at, byte: data[:at] + bytes([byte]) + data[at + 1 :],
    WHOLE,
    st.integers(0, 80),
    st.integers(0, 255),
)
WRAPPED = st.builds(
    lambda data, name: Packed(
        type_url=f"type.googleapis.com/arrow.flight.protocol.sql.{name}", value=data
    ).SerializeToString(),
    st.binary(max_size=40),
    st.sampled_from([type(one).__name__ for one in COMMANDS]),
)


@given(st.binary(max_size=80) | CUT | CHANGED | WRAPPED)
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    is_command(data)
    for read in (decode, lambda data: parsed(base.CancelFlightInfoRequest, data)):
        with contextlib.suppress(InvalidRequest):
            read(data)
