"""A Flight server with fake flights, for tests of the server and of its clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pyarrow as pa

from flight_service.addresses import Address
from flight_service.assets import named
from flight_service.authentication import Principal
from flight_service.errors import Forbidden, InvalidRequest, UnknownName
from flight_service.flights import Extent, Flight, Listed, Part
from flight_service.monitoring.calls import Observer
from flight_service.registry import Registry
from flight_service.server import FlightServer
from flight_service.tickets import Ticket
from flight_service.tls import Tls
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.planes import PlaneUnavailable
from fraiseql_assets.settings import Settings

SECRET = "a secret of at least thirty-two characters"
SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("text", pa.utf8())])
DOWN = "ClickHouse at http://inner:8123 does not answer. Check that the server runs."
TOLD = "ClickHouse does not answer. Check that the server runs."
"""What clients are told of it."""

Kind = Literal[
    "rows", "empty", "wide", "down", "breaks", "bug", "other_schema", "refused", "forbidden",
    "endless", "waits", "whoami", "unknown",
]  # fmt: skip


class Made(Ticket, frozen=True):
    """A flight that behaves as its ticket says."""

    kind: Kind
    rows: int = 3


def batch(rows: int, text: str = "é") -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(rows), pa.int64()), pa.array([text] * rows)], SCHEMA)


class Flights:
    """Makes the flights, and records how their streams ended."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.cancelled = threading.Event()
        self.asked = 0
        """How often a server was asked that does not answer."""

    def resolve(self, ticket: Made, principal: Principal) -> Flight:
        if ticket.kind == "refused":
            raise InvalidRequest("There is no such thing. Take another.")
        if ticket.kind == "unknown":
            raise UnknownName("There is no asset 'x'. There are: y.")
        if ticket.kind == "forbidden":
            raise Forbidden("Only an admin may see this. Ask one.")

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            return self._stream(ticket, principal, cancellation)

        return Flight(
            SCHEMA,
            stream,
            lambda _: self._extent(ticket),
            ticket,
            is_endless=ticket.kind == "endless",
            about={"kind": ticket.kind},
        )

    def listing(self, principal: Principal) -> list[Listed]:
        kinds: tuple[Kind, ...] = ("rows", "down", "waits")
        return [Listed(f"made/{kind}", Made(kind=kind)) for kind in kinds]

    def _extent(self, ticket: Made) -> Extent:
        if ticket.kind == "down":
            raise PlaneUnavailable(DOWN)
        if ticket.kind == "waits":
            self.asked += 1
            self.closed.wait(30)
        return Extent(rows=ticket.rows, parts=(Part(ticket, {"part": 1}), Part(ticket)))

    def _stream(
        self, ticket: Made, principal: Principal, cancellation: Cancellation
    ) -> Iterator[pa.RecordBatch]:
        try:
            match ticket.kind:
                case "rows":
                    yield batch(ticket.rows)
                case "wide":
                    yield batch(ticket.rows, "x" * 1_000_000)
                case "down":
                    raise PlaneUnavailable(DOWN)
                case "breaks":
                    yield batch(ticket.rows)
                    raise PlaneUnavailable(DOWN)
                case "bug":
                    yield batch(ticket.rows)
                    raise KeyError("a secret of the code")
                case "other_schema":
                    yield batch(1).rename_columns(["n", "renamed"])
                case "endless":
                    while True:
                        yield batch(ticket.rows)
                case "waits":
                    yield batch(ticket.rows)
                    cancellation.then(self.cancelled.set)
                    assert self.cancelled.wait(30)
                    raise RuntimeError("the database says that its query was cancelled")
                case "whoami":
                    yield batch(
                        1, f"{principal.subject} {principal.tenant} {sorted(principal.roles)}"
                    )
        finally:
            self.closed.set()


@contextmanager
def start_server(
    flights: Flights,
    observer: Observer | None = None,
    tls: Tls | None = None,
    **settings: object,
) -> Iterator[FlightServer]:
    """A server of the flights for the length of the block."""
    server = FlightServer(
        Address("grpc" if tls is None else "grpc+tls", "127.0.0.1", 0, "FRAISEQL_FLIGHT_URL"),
        Settings.model_validate({"probe_timeout_seconds": 0.1, **settings}),
        Registry({Made: flights.resolve}, named, (flights.listing,)),
        observer,
        tls,
    )
    try:
        yield server
    finally:
        flights.closed.set()
        flights.cancelled.set()
        server.stop(10)
