"""Compression of Arrow data, per call."""

from collections.abc import Iterator

import grpc
import pyarrow as pa
import pytest
from pyarrow import flight

from flight_service.errors import sentence_of
from tests.unit.flight_server import Flights, Made, batch, start_server

ROWS = 5
TEXT = "x" * 1_000_000


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with start_server(Flights()) as server:
        yield str(server.address)


def bytes_sent(address: str, compression: str | None) -> int:
    """The size of what the service sends for one ticket, as it travels."""
    asked = Made(kind="wide", rows=ROWS).encode()
    assert len(asked) < 128
    metadata = [("x-arrow-compression", compression)] if compression else []
    with grpc.insecure_channel(
        address.removeprefix("grpc://"), [("grpc.max_receive_message_length", -1)]
    ) as channel:
        # A ticket's protobuf: its bytes are field 1. The messages are left as they come.
        do_get = channel.unary_stream("/arrow.flight.protocol.FlightService/DoGet")
        return sum(map(len, do_get(b"\x0a" + bytes([len(asked)]) + asked, metadata=metadata)))


@pytest.mark.parametrize("compression", [None, "none", "lz4", "zstd", "ZSTD"])
def test_rows_do_not_depend_on_the_compression(address: str, compression: str | None) -> None:
    headers = [(b"x-arrow-compression", compression.encode())] if compression else []
    options = flight.FlightCallOptions(headers=headers)
    ticket = flight.Ticket(Made(kind="wide", rows=ROWS).encode())
    with flight.connect(address) as client:
        read = client.do_get(ticket, options).read_all()
    assert read.equals(pa.Table.from_batches([batch(ROWS, TEXT)]))


def test_compressed_messages_are_smaller(address: str) -> None:
    plain = bytes_sent(address, None)
    assert plain > ROWS * len(TEXT)
    assert bytes_sent(address, "none") == plain
    assert bytes_sent(address, "lz4") < plain / 20
    assert bytes_sent(address, "zstd") < plain / 20


def test_an_unknown_compression_is_an_error_that_names_the_known_ones(address: str) -> None:
    options = flight.FlightCallOptions(headers=[(b"x-arrow-compression", b"gzip")])
    with flight.connect(address) as client, pytest.raises(pa.ArrowInvalid) as caught:
        client.do_get(flight.Ticket(Made(kind="rows").encode()), options).read_all()
    assert sentence_of(caught.value) == (
        "There is no compression 'gzip'. The header x-arrow-compression takes: none, lz4, zstd."
    )
