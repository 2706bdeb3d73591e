"""DoExchange: requests in FraiseQL's envelope, several at once on one stream."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain

import msgspec
import pyarrow as pa
from pyarrow import flight

from flight_service.authentication import Principal
from flight_service.errors import (
    CANCELLED,
    InvalidRequest,
    ServiceError,
    Stopping,
    Unauthenticated,
    as_flight_error,
    sentence_of,
)
from flight_service.exchange import envelope
from flight_service.exchange.envelope import (
    Cancel,
    Complete,
    InvalidEnvelope,
    Query,
    Request,
    Subscribe,
    Upload,
)
from flight_service.exchange.replies import ClientGone, Replies, Writer
from flight_service.exchange.running_requests import RunningRequests
from flight_service.flights import Flight, Resolver
from flight_service.graphql.transport.flight import GraphQLQuery
from flight_service.identity.tokens import check_expiry
from flight_service.limits import StreamLimits
from flight_service.received import messages, readable
from flight_service.tail import Tail
from flight_service.tickets import Named, Ticket, explained
from flight_service.writing.receiving import Stream, receive
from flight_service.writing.service import Writing
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator

NO_REQUEST = (
    "The stream has no request. Send the descriptor in a message of its own, and the requests in "
    "the app_metadata of those after it."
)
"""Arrow drops what stands beside the descriptor: the service cannot see it."""


class RequestCancelled(ServiceError):
    """The client has cancelled the request."""

    status = CANCELLED

    def __str__(self) -> str:
        return "The request was cancelled."


class Exchange:
    """Handles the requests of streams."""

    def __init__(
        self,
        resolvers: Mapping[type[Ticket], Resolver],
        named: Named,
        writing: Writing,
        limits: StreamLimits,
        requests: int,
        wait_seconds: float,
    ) -> None:
        """`requests` is the number of concurrent requests of a stream. A stream that has sent none
        for `wait_seconds` gets an error as a response, and continues."""
        self._resolvers, self._named = resolvers, named
        self._writing, self._limits = writing, limits
        self._requests, self._wait_seconds = requests, wait_seconds

    def run(
        self,
        reader: flight.MetadataRecordBatchReader,
        writer: Writer,
        principal: Principal,
        cancellation: Cancellation,
    ) -> None:
        """Handles every request of a stream, until the client closes its side and all requests have
        ended.

        Raises:
            InvalidRequest: what the client sends is no Arrow stream, or holds no request.
            TooManyStreams: the principal has as many as it may.
        """
        # A stream takes a thread, also while nothing is asked.
        end = self._limits.begin(principal)
        stream = _Stream(self, principal, Replies(writer), RunningRequests(self._requests), writer)
        cancellation.then(lambda: stream.running.cancel_all(stopping=cancellation.stopping))
        try:
            chunks = messages(reader, "A message")
            with stream.reminded(self._wait_seconds):
                first = next(chunks, None)
            if first is None:
                raise InvalidRequest(NO_REQUEST)
            for chunk in chain([first], chunks):
                if not stream.take(chunk):
                    break
        except BaseException:
            stream.running.cancel_all(stopping=False)
            raise
        finally:
            stream.running.wait()
            end()

    def resolve(self, asked: Query | Subscribe, principal: Principal) -> Flight:
        """The flight of a query or a subscription."""
        ticket = self._query(asked) if isinstance(asked, Query) else _tail(asked)
        return self._resolvers[type(ticket)](ticket, principal)

    def _query(self, asked: Query) -> Ticket:
        if "{" not in asked.query:
            return self._named(asked.query, asked.variables or {})
        return GraphQLQuery(
            query=asked.query, variables=asked.variables, operation_name=asked.operation_name
        )


class _Stream:
    """The requests of one stream."""

    def __init__(
        self,
        exchange: Exchange,
        principal: Principal,
        replies: Replies,
        running: RunningRequests,
        writer: Writer,
    ) -> None:
        self._exchange, self._principal = exchange, principal
        self._replies, self._call = replies, writer.call
        self.running = running

    @contextmanager
    def reminded(self, seconds: float) -> Iterator[None]:
        """Sends an error if the block takes longer than this. Nothing else ends the silence: the
        client may wait for the answer to a request that Arrow has dropped."""
        timer = threading.Timer(seconds, self._fail, ("", InvalidRequest(NO_REQUEST)))
        timer.name, timer.daemon = "exchange without a request", True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            # The writer is valid only as long as the call.
            timer.join()

    def take(self, chunk: flight.FlightStreamChunk) -> bool:
        """Starts the request of a message, or responds with an error. Returns whether the client
        sends more."""
        data = chunk.app_metadata.to_pybytes() if chunk.app_metadata else b""
        try:
            request = envelope.decode(data)
            if isinstance(request, Complete):
                return False
        except InvalidEnvelope as error:
            self._fail(error.correlation_id, error)
            return True
        try:
            # The token was valid when the stream began.
            check_expiry(self._principal.expires)
            self._start(request, chunk.data)
        except (InvalidRequest, Unauthenticated) as error:
            self._fail(request.correlation_id, error)
        return True

    def _start(self, request: Request, batch: pa.RecordBatch | None) -> None:
        correlation_id, asked = request.correlation_id, request.asked
        if isinstance(asked, Cancel):
            if not self.running.cancel(asked.correlation_id):
                raise InvalidRequest(f"No request {asked.correlation_id!r} runs.")
            with suppress(ClientGone):
                self._replies.text(correlation_id, "Cancelled")
            return

        def work(cancellation: Cancellation, ends: Callable[[], None]) -> None:
            try:
                if isinstance(asked, Upload):
                    answer = self._upload(correlation_id, asked, batch, cancellation)
                else:
                    answer = self._read(correlation_id, asked, cancellation)
                ends()
                answer()
            except ClientGone:
                cancellation.cancel()
            except Exception as error:
                ends()
                self._fail(correlation_id, _reason(error, cancellation))

        self.running.start(correlation_id, work, is_endless=isinstance(asked, Subscribe))

    def _read(
        self, correlation_id: str, asked: Query | Subscribe, cancellation: Cancellation
    ) -> Callable[[], None]:
        """Sends the rows of a result. Returns a function that sends the last response."""
        end = self._exchange._limits.begin(self._principal)
        try:
            found = self._exchange.resolve(asked, self._principal)
            batches = found.stream(cancellation)
            try:
                rows = self._replies.begin_rows(correlation_id, found.schema)
                if isinstance(asked, Subscribe):
                    self._replies.text(correlation_id, f"Subscribed to {_subject(asked)}")
                is_empty = True
                for batch in batches:
                    if cancellation.over:
                        break
                    rows.write(batch)
                    is_empty = False
                if is_empty and not cancellation.over:
                    rows.write_none()
            finally:
                close_iterator(batches)
        finally:
            end()
        if cancellation.over:
            raise RequestCancelled
        return partial(self._replies.complete, correlation_id)

    def _upload(
        self,
        correlation_id: str,
        asked: Upload,
        batch: pa.RecordBatch | None,
        cancellation: Cancellation,
    ) -> Callable[[], None]:
        """Writes rows. Returns a function that sends the response."""
        sink = self._exchange._writing.open(
            asked.table, self._principal, lambda receipt: None, cancellation
        )
        stream = Stream(cancellation, lambda: cancellation.over, self._call.count_written)
        receipt = receive(sink, _batches(asked, batch), stream)
        about = msgspec.to_builtins(receipt)
        return partial(self._replies.text, correlation_id, f"Inserted {receipt.rows} rows", about)

    def _fail(self, correlation_id: str, error: Exception) -> None:
        # A client that has disconnected gets no response.
        with suppress(ClientGone):
            self._replies.failed(correlation_id, sentence_of(as_flight_error(error)))


def _reason(error: Exception, cancellation: Cancellation) -> Exception:
    """Why a request failed. Cancelled work raises some error."""
    if cancellation.stopping:
        return Stopping()
    return RequestCancelled() if cancellation.over else error


def _batches(asked: Upload, own: pa.RecordBatch | None) -> Iterator[pa.RecordBatch]:
    """The rows of an upload: those of its Arrow stream, or of the message."""
    stream = asked.stream
    if stream is None:
        if own is None:
            raise InvalidRequest("The Upload has no batch, and its message no record batch.")
        yield own
        return
    with readable("The Upload's batch"), pa.ipc.open_stream(pa.BufferReader(stream)) as reader:
        yield from reader


def _tail(asked: Subscribe) -> Tail:
    try:
        return msgspec.convert({**asked.fields, "type": "Tail"}, Tail)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explained(error, Tail)) from error


def _subject(asked: Subscribe) -> str:
    return str(asked.fields.get("entity_type") or "every entity type")
