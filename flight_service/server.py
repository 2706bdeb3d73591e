"""The Flight server: Arrow's methods, answered by the registry.

What a method raises reaches the client as a Flight error with a sentence; see
`flight_service.errors`. Results are streamed as they are made, never collected.
"""

import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pyarrow as pa
from pyarrow import flight

from flight_service import actions
from flight_service.addresses import Address, locations
from flight_service.authentication import Authentication, Principal, principal_of
from flight_service.cancellation import Cancellation, Cancellations
from flight_service.compression import write_options
from flight_service.errors import (
    Stopping,
    Unimplemented,
    answered,
    answered_by_sentence,
    as_flight_error,
)
from flight_service.flights import Extent, Flight, Part
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.flight import ObservedAuthentication, call_of, counted
from flight_service.registry import Registry
from flight_service.tickets import Ticket, TicketReader
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError

MESSAGE_BYTES = 8 * 2**20
"""The largest record batch that is sent, unless it is one row: half of what many clients take."""


class FlightServer(flight.FlightServerBase):
    """Serves a registry from when it is made until `stop`.

    Raises, from its making:
        AddressError: the address cannot be listened on.
    """

    def __init__(
        self,
        address: Address,
        settings: Settings,
        registry: Registry,
        observer: Observer | None = None,
    ) -> None:
        self._calls = Cancellations()
        self._observer = observer or Observer()
        self._registry = registry
        self._reader = TicketReader(list(registry.resolvers), registry.named)
        # A second more than a probe takes to give up and say why.
        self._patience = settings.probe_timeout_seconds + 1
        # Arrow says of a taken port only that it did not start; this says which, and what to do.
        with address.listen() as bound:
            self.address = address.with_port(bound.getsockname()[1])
        self._locations = locations(self.address)
        super().__init__(
            str(self.address),
            middleware={
                Authentication.KEY: ObservedAuthentication(
                    Authentication(settings.jwt_secret), self._observer
                ),
                Cancellations.KEY: self._calls,
            },
        )

    def drain(self) -> None:
        """Ends the endless streams. The observer refuses new calls from now on."""
        self._calls.drain()

    def stop(self, grace_seconds: float) -> bool:
        """Ends every stream with a sentence and takes no new call.

        Returns whether all calls ended in time; a client that reads nothing may keep one alive.
        """
        self._calls.stop()
        ending = threading.Thread(target=self.shutdown, daemon=True)
        ending.start()
        ending.join(grace_seconds)
        return not ending.is_alive()

    def list_flights(
        self, context: flight.ServerCallContext, criteria: bytes
    ) -> Iterator[flight.FlightInfo]:
        """Every flight that is listed for the principal; criteria are how their name begins."""
        with answered():
            principal, wanted = principal_of(context), criteria.decode(errors="replace")
            listed = [
                (flight.FlightDescriptor.for_path(*item.path), item)
                for listing in self._registry.listings
                for item in listing(principal)
                if "/".join(item.path).startswith(wanted)
            ]
            flights = [item.flight or self._resolve(item.ticket, principal) for _, item in listed]
            extents = _all_within(self._patience, [found.extent for found in flights])
            return iter(
                [
                    self._info(descriptor, item.ticket, found, extent)
                    for (descriptor, item), found, extent in zip(
                        listed, flights, extents, strict=True
                    )
                ]
            )

    def get_flight_info(
        self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        """The schema, endpoints and extent of what a descriptor stands for."""
        with answered():
            ticket = self._reader.read_descriptor(descriptor)
            call_of(context).asks(ticket)
            found = self._resolve(ticket, principal_of(context))
            return self._info(descriptor, ticket, found, found.extent())

    def get_schema(
        self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.SchemaResult:
        """The schema of what a descriptor stands for. Asks no other server."""
        with answered_by_sentence():
            ticket = self._reader.read_descriptor(descriptor)
            call_of(context).asks(ticket)
            return flight.SchemaResult(self._resolve(ticket, principal_of(context)).schema)

    def do_get(
        self, context: flight.ServerCallContext, ticket: flight.Ticket
    ) -> flight.FlightDataStream:
        """Streams what a ticket stands for."""
        with answered():
            call, asked = call_of(context), self._reader.read(ticket.ticket)
            call.asks(asked)
            self._observer.open_stream(call)
            options = write_options(call.compression)
            found = self._resolve(asked, principal_of(context))
            cancellation = self._calls.watch(context, is_endless=found.is_endless)
            batches = found.stream(cancellation)
            sent = _sent(batches, found.schema, cancellation)
            return flight.GeneratorStream(found.schema, counted(sent, call, cancellation), options)

    def do_action(
        self, context: flight.ServerCallContext, action: flight.Action
    ) -> list[flight.Result]:
        """Runs an action."""
        with answered():
            return actions.run(
                self._registry.actions, action, principal_of(context), call_of(context)
            )

    def list_actions(self, context: flight.ServerCallContext) -> list[flight.ActionType]:
        """The actions there are."""
        return actions.listed(self._registry.actions)

    def do_put(self, *_: object) -> None:
        """Not offered."""
        raise Unimplemented("This service takes no DoPut. Publish events to NATS JetStream")

    def do_exchange(self, *_: object) -> None:
        """Not offered."""
        raise Unimplemented("This service takes no DoExchange. Use DoGet")

    def _resolve(self, ticket: Ticket, principal: Principal) -> Flight:
        return self._registry.resolvers[type(ticket)](ticket, principal)

    def _info(
        self, descriptor: flight.FlightDescriptor, ticket: Ticket, found: Flight, extent: Extent
    ) -> flight.FlightInfo:
        endpoints = [
            flight.FlightEndpoint(
                part.ticket.encode(),
                self._locations,
                part.expires and pa.scalar(part.expires, pa.timestamp("us", "UTC")),
                msgspec.json.encode(part.about),
            )
            for part in extent.parts or (Part(ticket),)
        ]
        return flight.FlightInfo(
            found.schema,
            descriptor,
            endpoints,
            -1 if extent.rows is None else extent.rows,
            -1 if extent.bytes is None else extent.bytes,
            False,
            msgspec.json.encode({**found.about, **extent.about}),
        )


def _sent(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, cancellation: Cancellation
) -> Iterator[pa.RecordBatch]:
    """A flight's batches, as messages that any client takes, for as long as they are wanted."""
    try:
        for batch in batches:
            if cancellation.over:
                break
            if not batch.schema.equals(schema):
                raise AssertionError(f"a batch of {batch.schema} in a flight of {schema}")
            yield from _messages(batch)
        if cancellation.stopping:
            raise Stopping
    except Exception as error:
        # Work that is cut short fails somehow; a client that is there needs to hear why it was cut.
        if cancellation.stopping:
            raise as_flight_error(Stopping()) from None
        if not cancellation.over:
            raise as_flight_error(error) from None
    finally:
        close = getattr(batches, "close", None)
        if close:
            close()


def _messages(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if pa.ipc.get_record_batch_size(batch) <= MESSAGE_BYTES or batch.num_rows < 2:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _messages(batch.slice(0, half))
    yield from _messages(batch.slice(half))


def _all_within(seconds: float, asks: list[Callable[[], Extent]]) -> list[Extent]:
    """The extents, asked for at once; one that fails or is late is unknown, with the reason.

    A server that neither answers nor refuses keeps a thread for as long as its own timeout.
    """
    late = f"Its server has not answered within {seconds:g} seconds."
    extents = [_unknown(late)] * len(asks)

    def ask(number: int) -> None:
        try:
            extents[number] = asks[number]()
        except (PlaneError, LogError) as error:
            extents[number] = _unknown(str(error))
        except Exception as error:
            extents[number] = _unknown(str(as_flight_error(error)))

    threads = [
        threading.Thread(target=ask, args=(number,), daemon=True) for number in range(len(asks))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(extents)


def _unknown(why: str) -> Extent:
    return Extent(about={"error": why})
