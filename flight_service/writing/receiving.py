"""Receives a stream of batches into a sink, and reports what is stored if it fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import pyarrow as pa
from pyarrow import flight

from flight_service.errors import (
    CANCELLED,
    UNAVAILABLE,
    InvalidRequest,
    Refused,
    ServiceError,
    Status,
    client_message,
)
from flight_service.monitoring.calls import Call
from flight_service.received import check_schema, check_undamaged, messages, whole_bytes
from flight_service.writing.sink import BATCH_BYTES, Receipt, Sink
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.stream.connection import LogError


class WritingFailed(ServiceError):
    """A stream was not written completely. The message says which batch failed, and what is
    stored."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        # The status is that of the cause.
        self.status = status  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True, slots=True)
class Stream:
    """The call that writes."""

    cancellation: Cancellation
    has_gone: Callable[[], bool]
    """Whether its client has disconnected, or the service stops."""
    count: Callable[[int, int], None]
    """Counts received rows and bytes."""


def stream_of(context: flight.ServerCallContext, cancellation: Cancellation, call: Call) -> Stream:
    """The stream of a call over Flight, whose rows the call counts."""
    return Stream(
        cancellation,
        has_gone=lambda: cancellation.over or context.is_cancelled(),
        count=call.count_written,
    )


def chunks(reader: flight.MetadataRecordBatchReader, sink: Sink) -> Iterator[pa.RecordBatch]:
    """The batches of a DoPut.

    Raises:
        InvalidRequest: the client does not send an Arrow stream.
    """
    for chunk in messages(reader, "It", sink.waiting):
        if chunk.data is not None:
            yield chunk.data
    check_schema(reader)


def receive(sink: Sink, batches: Iterator[pa.RecordBatch], stream: Stream) -> Receipt:
    """Writes all batches. Returns the sum of the receipts.

    Raises:
        ServiceError: a batch could not be written; the message says which one, and what is stored.
    """
    number: int | None = 0
    try:
        for batch in batches:
            check_undamaged(batch)
            if (size := whole_bytes(batch)) > BATCH_BYTES:
                raise InvalidRequest(
                    f"It has {size:,} bytes, and a batch may have {BATCH_BYTES:,}. Send "
                    "smaller ones."
                )
            sink.write(batch)
            stream.count(batch.num_rows, batch.nbytes)
            number += 1
        number = None
        # A disconnect ends the stream in the same way as a complete stream.
        if stream.has_gone():
            raise WritingFailed("The client disconnected.", CANCELLED)
        total = sink.finish(stream.has_gone)
    except (ServiceError, LogError) as error:
        raise _explained(error, number, sink.abandon()) from error
    except BaseException:
        sink.abandon()
        raise
    return msgspec.structs.replace(total, complete=True, batch=None, warnings=())


def _explained(error: ServiceError | LogError, number: int | None, stored: str) -> WritingFailed:
    if isinstance(error, LogError):
        return WritingFailed(f"{client_message(error)} {stored}", UNAVAILABLE)
    is_told = number is not None and isinstance(error, Refused)
    which = f"Batch {number}: " if is_told else ""
    return WritingFailed(f"{which}{error} {stored}", error.status)
