"""Observes Flight calls: a middleware around authentication, and counts of streamed batches."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn, cast

import pyarrow as pa
from pyarrow import flight

from flight_service.authentication import (
    Authentication,
    AuthenticationMiddleware,
    authorization_of,
)
from flight_service.compression import HEADER as COMPRESSION
from flight_service.errors import CANCELLED, Stopping, as_flight_error, reported_status
from flight_service.identity.handshake import Begun, Handshakes
from flight_service.monitoring.calls import FORWARDED_FOR, REQUEST_ID, Call, Observer
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator
from fraiseql_assets.tracing import TRACEPARENT, carried, traceparent_of

REFUSED_BY_THEMSELVES = frozenset(
    (
        flight.FlightMethod.LIST_FLIGHTS,
        flight.FlightMethod.GET_FLIGHT_INFO,
        flight.FlightMethod.DO_GET,
        flight.FlightMethod.DO_ACTION,
        flight.FlightMethod.LIST_ACTIONS,
    )
)
"""Methods that refuse calls which are not admitted, so that the log has the client's address: Arrow
gives it to methods alone. DoPut and DoExchange would first read an Arrow stream of a client that is
not authenticated, and GetSchema would answer UNKNOWN instead of UNAUTHENTICATED."""


class ObservedMiddleware(AuthenticationMiddleware):
    """Holds a call and its principal, and ends the call when its last byte is sent."""

    def __init__(self, inner: AuthenticationMiddleware, call: Call, observer: Observer) -> None:
        super().__init__(inner.principal)
        self.call = call
        self._inner, self._observer = inner, observer

    def sending_headers(self) -> dict[str, str]:
        return {**self._inner.sending_headers(), REQUEST_ID: self.call.request_id}

    def call_completed(self, exception: Exception | None) -> None:
        if exception is not None and self.call.failure is None:
            self.call.failure = exception
        is_cancelled = self.call.cancelled and exception is None
        status = CANCELLED.name if is_cancelled else reported_status(exception)
        self._observer.end_flight(self.call, status)


class RefusedMiddleware(flight.ServerMiddleware):
    """Carries a call that is not admitted to its method, which knows the client's address, refuses
    the call, and does nothing else: neither its `call_of` nor its principal can be had."""

    def __init__(self, call: Call, observer: Observer, refusal: Exception) -> None:
        super().__init__()
        self.call, self.refusal = call, refusal
        self._observer = observer

    @property
    def principal(self) -> NoReturn:
        raise self.refusal

    def sending_headers(self) -> dict[str, str]:
        return {REQUEST_ID: self.call.request_id}

    def call_completed(self, exception: Exception | None) -> None:
        self._observer.end_flight(self.call, reported_status(self.refusal))


class ObservedAuthentication(flight.ServerMiddlewareFactory):
    """Authenticates and observes every call, including refused ones."""

    def __init__(
        self, authentication: Authentication, observer: Observer, handshakes: Handshakes
    ) -> None:
        super().__init__()
        self._authentication, self._observer = authentication, observer
        self._handshakes = handshakes

    def start_call(
        self, info: flight.CallInfo, headers: dict[str, list[str]]
    ) -> ObservedMiddleware | RefusedMiddleware:
        given = headers.get(REQUEST_ID, [None])[0]
        trace = headers.get(TRACEPARENT, [None])[0]
        call = self._observer.begin("flight", info.method.name.lower(), given, trace)
        call.compression = headers.get(COMPRESSION, [None])[0]
        call.forwarded_for = ", ".join(headers.get(FORWARDED_FOR, []))
        try:
            if self._observer.is_draining:
                raise as_flight_error(Stopping())
            inner = self._authentication.start_call(info, headers)
        except Exception as error:
            call.refused(error.__context__ or error)
            if info.method in REFUSED_BY_THEMSELVES:
                return RefusedMiddleware(call, self._observer, error)
            # Arrow completes no call that a middleware refuses.
            self._observer.end_flight(call, reported_status(error))
            raise
        if call.span:
            traced = replace(inner.principal, traceparent=traceparent_of(call.span))
            inner = AuthenticationMiddleware(traced)
        call.principal = inner.principal
        if info.method == flight.FlightMethod.HANDSHAKE:
            call.kind = "Handshake"
            is_done = authorization_of(headers) is not None
            self._handshakes.begin(Begun(is_done, call.recognised, call.refused))
        return ObservedMiddleware(inner, call, self._observer)


def call_of(context: flight.ServerCallContext) -> Call:
    """The call that the context is of.

    Raises:
        FlightError: the client is not authenticated, or the service stops.
    """
    middleware = cast(
        ObservedMiddleware | RefusedMiddleware, context.get_middleware(Authentication.KEY)
    )
    middleware.call.peer = context.peer()
    if isinstance(middleware, RefusedMiddleware):
        raise middleware.refusal
    return middleware.call


def observed(
    messages: Iterator[tuple[pa.RecordBatch, int]], call: Call, cancellation: Cancellation
) -> Iterator[pa.RecordBatch]:
    """The batches of a stream, which come with their sizes in bytes. The call counts them, and is
    cancelled if the client stops reading."""
    call.rows = 0
    is_whole = False
    try:
        for batch, size in carried(messages, call.span):
            call.rows += batch.num_rows
            call.bytes += size
            call.batches += 1
            yield batch
        is_whole = not cancellation.over
    except Exception:
        is_whole = True
        raise
    finally:
        call.cancelled = not is_whole
        close_iterator(messages)
