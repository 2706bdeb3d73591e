"""The Flight server: Arrow's methods, with the resolvers and actions of the registry.

Every exception reaches the client as a Flight error with a one-line message; see
`flight_service.errors`. Results are streamed, never collected.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pyarrow as pa
from pyarrow import flight

from flight_service import actions
from flight_service.addresses import Address, locations
from flight_service.authentication import Authentication, Principal, principal_of
from flight_service.cancellation import Cancellations
from flight_service.compression import write_options
from flight_service.errors import (
    Unimplemented,
    answered,
    answered_by_sentence,
)
from flight_service.exchange.replies import Writer
from flight_service.extents import Extents
from flight_service.flights import Extent, Flight, Part
from flight_service.identity.handshake import HandshakeHandler, Handshakes
from flight_service.limits import LimitedCalls, StreamLimits
from flight_service.messages import with_marks
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.flight import ObservedAuthentication, call_of, observed
from flight_service.registry import Registry
from flight_service.sending import sent
from flight_service.signed_tickets import SignedTickets
from flight_service.sql.actions import Call
from flight_service.sql.commands import SqlCommand, is_command
from flight_service.sql.sessions import SessionCookies, session_of
from flight_service.tickets import Ticket, TicketReader
from flight_service.tls import Tls
from flight_service.writing.ingest import is_ingest
from flight_service.writing.receiving import stream_of
from fraiseql_assets.settings import Settings
from fraiseql_assets.tracing import within

SQL_IS_OFF = "Flight SQL is switched off by FRAISEQL_SQL"


class FlightServer(flight.FlightServerBase):
    """Serves a registry, from its construction until `stop`.

    Raises, when constructed:
        AddressError: the address cannot be listened on.
    """

    def __init__(
        self,
        address: Address,
        settings: Settings,
        registry: Registry,
        observer: Observer | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._calls = Cancellations()
        self._observer = observer or Observer()
        self._limits = LimitedCalls(registry.limits or StreamLimits(settings))
        self._registry = registry
        self._reader = TicketReader(
            [kind for kind in registry.resolvers if kind is not SqlCommand], registry.named
        )
        # One second more than the timeout of a probe.
        self._extents = Extents(settings.probe_timeout_seconds + 1)
        # Arrow's own error for a port in use names neither the port nor the setting.
        with address.listen() as bound:
            self.address = address.with_port(bound.getsockname()[1])
        self._locations = locations(self.address)
        self._signed = SignedTickets(settings)
        handshakes = Handshakes()
        super().__init__(
            str(self.address),
            HandshakeHandler(settings, handshakes),
            None if tls is None else [(tls.certificate, tls.key)],
            tls is not None and tls.client_ca is not None,
            None if tls is None else tls.client_ca,
            middleware={
                Authentication.KEY: ObservedAuthentication(
                    Authentication(settings), self._observer, handshakes
                ),
                Cancellations.KEY: self._calls,
                SessionCookies.KEY: SessionCookies(),
                LimitedCalls.KEY: self._limits,
            },
        )

    def drain(self) -> None:
        """Ends the endless streams. The observer refuses new calls from now on."""
        self._calls.drain()

    def stop(self, grace_seconds: float) -> bool:
        """Ends every stream with an error and refuses new calls.

        Returns whether all calls ended in time. A client that does not read may keep one open.
        """
        self._calls.stop()
        shutdown = threading.Thread(target=self.shutdown, daemon=True)
        shutdown.start()
        shutdown.join(grace_seconds)
        return not shutdown.is_alive()

    def list_flights(
        self, context: flight.ServerCallContext, criteria: bytes
    ) -> Iterator[flight.FlightInfo]:
        """The flights that the principal may see whose names start with the criteria."""
        with answered(), within(call_of(context).span):
            principal, wanted = principal_of(context), criteria.decode(errors="replace")
            listed = [
                (flight.FlightDescriptor.for_path(item.name), item)
                for listing in self._registry.listings
                for item in listing(principal)
                if item.name.startswith(wanted)
            ]
            flights = [item.flight or self._resolve(item.ticket, principal) for _, item in listed]
            extents = self._extents.extents(flights)
            return iter(
                [
                    self._info(descriptor, item.ticket, found, extent, principal)
                    for (descriptor, item), found, extent in zip(
                        listed, flights, extents, strict=True
                    )
                ]
            )

    def get_flight_info(
        self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        """The schema, endpoints and extent of a descriptor's flight."""
        call, warnings = call_of(context), list[str]()
        with answered(), within(call.span):
            ticket = self._described(context, descriptor, warnings)
            call.has_ticket(ticket)
            principal = principal_of(context)
            found = self._resolve(ticket, principal)
            extent = self._extents.extent(found)
            if warnings:
                extent = replace(extent, about={**extent.about, "warnings": warnings})
            return self._info(descriptor, ticket, found, extent, principal)

    def get_schema(
        self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.SchemaResult:
        """The schema of a descriptor's flight. Sends no request to the planes or the log."""
        call = call_of(context)
        with answered_by_sentence(), within(call.span):
            ticket = self._described(context, descriptor)
            call.has_ticket(ticket)
            return flight.SchemaResult(self._resolve(ticket, principal_of(context)).schema)

    def do_get(
        self, context: flight.ServerCallContext, ticket: flight.Ticket
    ) -> flight.FlightDataStream:
        """Streams the rows of a ticket."""
        call, principal = call_of(context), principal_of(context)
        with answered(), within(call.span):
            asked = self._ticket(context, ticket.ticket)
            call.has_ticket(asked)
            self._observer.open_stream(call)
            options = write_options(call.compression)
            found = self._resolve(asked, principal)
            self._limits.begin(context, principal)
            cancellation = self._calls.watch(context, is_endless=found.is_endless)
            batches = found.stream(cancellation)
            whole = sent(batches, found.schema, cancellation)
            streamed = with_marks(observed(whole, call, cancellation))
            return flight.GeneratorStream(found.schema, streamed, options)

    def do_action(
        self, context: flight.ServerCallContext, action: flight.Action
    ) -> Iterator[flight.Result]:
        """Runs an action."""
        sql, traced = self._registry.sql, call_of(context).span
        with answered(), within(traced):
            if sql is not None and sql.has(action.type):
                return iter(sql.run(action, Call(principal_of(context), session_of(context))))
            return actions.run(
                self._registry.actions,
                action,
                principal_of(context),
                call_of(context),
                lambda: self._calls.watch(context, is_endless=True),
            )

    def list_actions(self, context: flight.ServerCallContext) -> list[flight.ActionType]:
        """The actions of the registry, and those of Flight SQL."""
        call_of(context)
        sql = self._registry.sql
        return actions.listed(self._registry.actions) + ([] if sql is None else sql.listed)

    def do_put(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        """Writes rows, or binds values to a prepared statement of Flight SQL."""
        sql, writing, call = self._registry.sql, self._registry.writing, call_of(context)
        with answered(), within(call.span):
            principal, command = principal_of(context), descriptor.command or b""
            if is_command(command) and sql is None:
                raise Unimplemented(SQL_IS_OFF)
            if sql is not None and is_command(command) and not is_ingest(command):
                sql.put(descriptor, reader, writer, principal)
                return
            if writing is None:
                raise Unimplemented("This service takes no DoPut. Publish events to NATS JetStream")
            ticket, counts = writing.ticket(descriptor), is_ingest(command)
            call.has_ticket(ticket)
            self._limits.begin(context, principal)
            stream = stream_of(context, self._calls.watch(context), call)
            writing.put(ticket.table, reader, writer, principal, stream, is_ingest=counts)

    def do_exchange(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.MetadataRecordBatchWriter,
    ) -> None:
        """Answers requests in FraiseQL's envelope, several at once."""
        exchange, call = self._registry.exchange, call_of(context)
        with answered(), within(call.span):
            if exchange is None:
                raise Unimplemented("This service takes no DoExchange. Use DoGet")
            call.kind = "Exchange"
            answers = Writer(writer, write_options(call.compression), call)
            cancellation = self._calls.watch(context, is_endless=True)
            self._observer.open_stream(call)
            exchange.run(reader, answers, principal_of(context), cancellation)
            call.cancelled = cancellation.over

    def _described(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        warnings: list[str] | None = None,
    ) -> Ticket:
        """The command of Flight SQL, or the ticket, in a descriptor."""
        if descriptor.descriptor_type == flight.DescriptorType.CMD:
            return self._ticket(context, descriptor.command, warnings)
        return self._reader.read_descriptor(descriptor, warnings)

    def _ticket(
        self,
        context: flight.ServerCallContext,
        data: bytes,
        warnings: list[str] | None = None,
    ) -> Ticket:
        data = self._signed.verify(data, principal_of(context))
        if not is_command(data):
            return self._reader.read(data, warnings)
        if self._registry.sql is None:
            raise Unimplemented(SQL_IS_OFF)
        return SqlCommand(packed=data, session=session_of(context))

    def _resolve(self, ticket: Ticket, principal: Principal) -> Flight:
        return self._registry.resolvers[type(ticket)](ticket, principal)

    def _info(
        self,
        descriptor: flight.FlightDescriptor,
        ticket: Ticket,
        found: Flight,
        extent: Extent,
        principal: Principal,
    ) -> flight.FlightInfo:
        parts = () if ticket.endpoints == 1 else extent.parts
        endpoints = [
            flight.FlightEndpoint(
                self._signed.sign(part.ticket, principal),
                self._locations,
                part.expires and pa.scalar(part.expires, pa.timestamp("us", "UTC")),
                msgspec.json.encode(part.about),
            )
            for part in parts or (Part(ticket),)
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
