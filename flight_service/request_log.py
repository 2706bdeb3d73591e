"""Records the GraphQL requests of both transports."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
from starlette.routing import Route

from flight_service.authentication import Principal, authenticate
from flight_service.errors import Forbidden, InvalidRequest, Refused, sentence_of
from flight_service.flights import Flight, Resolver
from flight_service.graphql.errors import GraphQLFailure
from flight_service.graphql.transport.flight import GraphQLQuery
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator
from fraiseql_assets.request_log.asgi import Identity, RecordRequests, Scope, trace_of
from fraiseql_assets.request_log.publisher import RequestRecorder
from fraiseql_assets.requests.record import RequestError, RequestRecord, Status
from fraiseql_assets.settings import Settings


def recorded_resolver(resolve: Resolver, recorder: RequestRecorder) -> Resolver:
    """Wraps a resolver of GraphQL tickets. Each request is recorded when its stream ends or when it
    is refused."""

    def resolve_and_record(ticket: GraphQLQuery, principal: Principal) -> Flight:
        recording = _Recording(ticket, principal, recorder)
        try:
            flight = resolve(ticket, principal)
        except Exception as error:
            recording.end("error", error)
            raise

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            return recording.over(flight.stream(cancellation), cancellation)

        return replace(flight, stream=stream)

    return resolve_and_record


class _Recording:
    """One request."""

    def __init__(
        self, ticket: GraphQLQuery, principal: Principal, recorder: RequestRecorder
    ) -> None:
        self._ticket, self._principal, self._recorder = ticket, principal, recorder
        self._arrived, self._started = datetime.now(UTC), time.monotonic()
        self._rows = self._bytes = 0

    def over(
        self, batches: Iterator[pa.RecordBatch], cancellation: Cancellation
    ) -> Iterator[pa.RecordBatch]:
        """The batches. The request is recorded when they end, with or without an error."""
        status: Status = "cancelled"
        failure: Exception | None = None
        try:
            for batch in batches:
                self._rows += batch.num_rows
                self._bytes += batch.nbytes
                yield batch
            status = "cancelled" if cancellation.over else "ok"
        except Exception as error:
            status, failure = ("cancelled", None) if cancellation.over else ("error", error)
            raise
        finally:
            close_iterator(batches)
            self.end(status, failure)

    def end(self, status: Status, failure: Exception | None = None) -> None:
        """Records how the request ended."""
        self._recorder.record(
            RequestRecord(
                query=self._ticket.query,
                transport="flight",
                status=status,
                duration_ms=(time.monotonic() - self._started) * 1000,
                variables=self._ticket.variables,
                operation_name=self._ticket.operation_name,
                user_id=self._principal.subject,
                tenant_id=self._principal.tenant,
                errors=[_error(failure)] if failure else [],
                rows=self._rows,
                bytes=self._bytes,
                trace_id=trace_of((self._principal.traceparent or "").encode()),
                timestamp=self._arrived,
            )
        )


def _error(failure: Exception) -> RequestError:
    """The error, with the code that the HTTP side sends."""
    if isinstance(failure, GraphQLFailure):
        return RequestError(failure.message, failure.code)
    match failure:
        case Forbidden():
            code = "FORBIDDEN"
        case InvalidRequest() | Refused():
            code = "BAD_REQUEST"
        case _:
            code = "INTERNAL_SERVER_ERROR"
    return RequestError(sentence_of(failure), code)


def recorded_route(route: Route, recorder: RequestRecorder, settings: Settings) -> Route:
    """The GraphQL route, with every request recorded."""

    def identify(scope: Scope) -> Identity:
        headers = dict(scope.get("headers", ()))
        given = headers.get(b"authorization", b"").decode(errors="replace")
        principal = authenticate(given or None, settings, may_wait=False)
        return Identity(principal.subject, principal.tenant)

    app = RecordRequests(route.endpoint, recorder, path=route.path, identify=identify)
    return Route(route.path, app, methods=None)
