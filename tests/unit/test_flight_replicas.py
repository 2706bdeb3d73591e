"""Several Flight services behind one address: each accepts the tickets and tokens of the others."""

import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path

import pytest
from pyarrow import flight
from pydantic import SecretStr

from flight_service.identity.passwords import hashed
from flight_service.identity.users import User, write_users
from flight_service.server import FlightServer
from tests.unit.flight_server import Flights, start_server

PASSWORD = "correct"
SHARED = "one secret for all services of an address"
WHOAMI = flight.FlightDescriptor.for_command(b'{"type":"Made","kind":"whoami"}')


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users.json"
    write_users(path, {"ada": User(hashed(PASSWORD, cost=16), "acme", (), ())})
    return path


@contextmanager
def services(users: Path, *secrets: str) -> Iterator[list[FlightServer]]:
    """A service for each secret."""
    with ExitStack() as opened:
        yield [
            opened.enter_context(
                start_server(Flights(), users_file=users, session_secret=SecretStr(secret))
            )
            for secret in secrets
        ]


@contextmanager
def one_address(servers: Sequence[FlightServer]) -> Iterator[tuple[str, list[int]]]:
    """An address whose connections go to one server after the other, as a load balancer's do, and
    the ports to which they went."""
    turns = cycle(servers)
    reached: list[int] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                reached.append(next(turns).port)
                far = socket.create_connection(("127.0.0.1", reached[-1]))
                threading.Thread(target=join, args=(near, far), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"grpc://127.0.0.1:{listening.getsockname()[1]}", reached
    finally:
        # A thread that accepts is woken by this, and not by a close alone.
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def join(near: socket.socket, far: socket.socket) -> None:
    """Carries bytes both ways until either side ends."""
    with near, far:
        while True:
            for source in select.select((near, far), (), ())[0]:
                data = source.recv(65536)
                if not data:
                    return
                (far if source is near else near).sendall(data)


def connect(address: str) -> flight.FlightClient:
    """A client with a connection of its own; gRPC would share one within the process."""
    return flight.connect(address, generic_options=[("grpc.use_local_subchannel_pool", 1)])


def test_sessions_and_tickets_are_valid_for_every_replica(users: Path) -> None:
    with services(users, SHARED, SHARED) as both, one_address(both) as (address, reached):
        with connect(address) as client:
            session = client.authenticate_basic_token("ada", PASSWORD)
        options = flight.FlightCallOptions(headers=[session])
        with connect(address) as client:
            tickets = [end.ticket for end in client.get_flight_info(WHOAMI, options).endpoints]
        for ticket in tickets:
            with connect(address) as client:
                read = client.do_get(ticket, options).read_all()
                assert read["text"].to_pylist() == ["ada acme []"]
        assert reached == [both[number % 2].port for number in range(2 + len(tickets))]


def test_services_with_different_secrets_refuse_each_other(users: Path) -> None:
    other = "another secret, of a service by itself"
    with services(users, SHARED, other) as (one, another):
        with connect(str(one.address)) as client:
            options = flight.FlightCallOptions(
                headers=[client.authenticate_basic_token("ada", PASSWORD)]
            )
            [ticket, *_] = [e.ticket for e in client.get_flight_info(WHOAMI, options).endpoints]
        with connect(str(another.address)) as client:
            with pytest.raises(flight.FlightUnauthenticatedError, match="not of this service"):
                client.do_get(ticket, options).read_all()
            own = flight.FlightCallOptions(
                headers=[client.authenticate_basic_token("ada", PASSWORD)]
            )
            with pytest.raises(flight.FlightUnauthorizedError, match="Ask for a new one"):
                client.do_get(ticket, own).read_all()
