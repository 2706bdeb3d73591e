"""A call without a token is refused before its method runs, where Arrow would first read what the
client sends, or lose the status. The price is that its line in the log has no address."""

import threading
from collections.abc import Iterator

import grpc
import pytest
from pyarrow import flight

from flight_service.monitoring.calls import Observer
from flight_service.server import FlightServer
from tests.unit.flight_server import SECRET, Flights, start_server

SERVICE = "/arrow.flight.protocol.FlightService/"
SECONDS = 30


@pytest.fixture
def server() -> Iterator[FlightServer]:
    with start_server(Flights(), Observer(), jwt_secret=SECRET) as server:
        yield server


@pytest.fixture
def channel(server: FlightServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.mark.parametrize("method", ["DoPut", "DoExchange"])
def test_a_stream_without_a_token_is_refused_before_the_client_sends_anything(
    channel: grpc.Channel, method: str
) -> None:
    refused = threading.Event()

    def nothing() -> Iterator[bytes]:
        refused.wait(SECONDS)
        yield from ()

    call = channel.stream_stream(SERVICE + method)(nothing(), timeout=SECONDS / 2)
    try:
        with pytest.raises(grpc.RpcError):
            list(call)
        assert call.code() is grpc.StatusCode.UNAUTHENTICATED
    finally:
        refused.set()


def test_a_schema_without_a_token_is_refused_as_unauthenticated(channel: grpc.Channel) -> None:
    path = flight.FlightDescriptor.for_path("made/rows").serialize()
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(f"{SERVICE}GetSchema")(path, timeout=SECONDS)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED  # pyright: ignore
