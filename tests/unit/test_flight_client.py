"""Streams that the command line reads from the Flight service, closed before their end."""

import threading
from collections.abc import Iterator

import pytest

from fraiseql_assets.cli.flight_client import FlightProblem, stream
from fraiseql_assets.settings import Settings
from tests.unit.flight_server import Flights, start_server


@pytest.fixture
def flights() -> Flights:
    return Flights()


@pytest.fixture
def settings(flights: Flights) -> Iterator[Settings]:
    with start_server(flights) as server:
        yield Settings(flight_url=str(server.address))


def own_threads() -> set[threading.Thread]:
    """The threads that Python code has started: not those of gRPC's server."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("Dummy")}


def test_a_stream_closed_early_leaves_no_thread(settings: Settings) -> None:
    before = own_threads()
    for _ in range(3):
        _, batches = stream(settings, {"type": "Made", "kind": "endless"})
        next(batches)
        batches.close()
    assert own_threads() <= before


def test_a_stream_can_be_closed_while_it_waits_for_a_batch(
    settings: Settings, flights: Flights
) -> None:
    before = own_threads()
    _, batches = stream(settings, {"type": "Made", "kind": "waits"})
    next(batches)
    batches.close()
    assert flights.cancelled.wait(10)
    assert own_threads() <= before


def test_an_error_after_the_first_batch_is_a_one_line_error(settings: Settings) -> None:
    _, batches = stream(settings, {"type": "Made", "kind": "breaks"})
    next(batches)
    with pytest.raises(FlightProblem, match="does not answer"):
        next(batches)
