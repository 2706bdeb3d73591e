"""The Flight service in this process, over a real log or database, for tests that write."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from log_server import info, read
from pyarrow import flight

from flight_service.addresses import Address
from flight_service.monitoring.calls import Observer
from flight_service.registry import registry
from flight_service.server import FlightServer
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.generate import generate
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.settings import Settings
from tests.tokens import signed

SECRET = "a secret of at least thirty-two characters"


@dataclass(frozen=True)
class Put:
    """The outcome of a DoPut."""

    receipts: list[dict[str, Any]]

    @property
    def total(self) -> dict[str, Any]:
        return self.receipts[-1]


@dataclass(frozen=True)
class Service:
    """A running service and a client of it."""

    settings: Settings
    client: flight.FlightClient
    server: FlightServer

    def put(
        self,
        where: str | flight.FlightDescriptor,
        batches: Sequence[pa.RecordBatch],
        options: flight.FlightCallOptions | None = None,
    ) -> Put:
        """Sends batches, then reads every receipt."""
        descriptor = flight.FlightDescriptor.for_path(where) if isinstance(where, str) else where
        writer, reader = self.client.do_put(descriptor, batches[0].schema, options)
        try:
            for batch in batches:
                writer.write_batch(batch)
            writer.done_writing()
            receipts = []
            while (answer := reader.read()) is not None:
                receipts.append(json.loads(answer.to_pybytes()))
            return Put(receipts)
        finally:
            writer.close()

    def __hash__(self) -> int:
        return id(self)


@contextmanager
def writing_service(settings: Settings, **changes: object) -> Iterator[Service]:
    """Starts the service with these settings, for the length of the block."""
    settings = settings.model_copy(update={"request_log": False, **changes})
    address = Address("grpc", "127.0.0.1", 0, "FRAISEQL_FLIGHT_URL")
    server = FlightServer(address, settings, registry(settings), Observer(logs=True))
    try:
        with flight.connect(str(server.address)) as client:
            yield Service(settings, client, server)
    finally:
        server.stop(10)


def token(*scopes: str, **claims: object) -> flight.FlightCallOptions:
    """Options of a call with these scopes."""
    bearer = signed(SECRET, sub="ann", scopes=list(scopes), **claims)
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {bearer}".encode())])


def events(count: int, *, seed: int = 1, size: int = 100) -> list[pa.RecordBatch]:
    """Generated events in batches of a size. The same seed gives the same, also in another
    process."""
    start = datetime(2026, 1, 31, tzinfo=UTC)
    table = pa.Table.from_batches(generate(count, seed=seed, start=start))
    return table.combine_chunks().to_batches(max_chunksize=size)


def last(settings: Settings) -> int:
    """The last sequence of the log."""
    return info(settings, settings.stream).state.last_seq


def stored(settings: Settings, first: int) -> pa.Table:
    """The events from a sequence on, as the pipeline decodes them."""
    batches = [
        batch
        for messages in read(settings, first, last(settings))
        for batch in decode(messages).batches
    ]
    return pa.Table.from_batches(batches, EVENT_SCHEMA)


def wait_until(holds: Any, seconds: float = 10) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.02)
