"""Publishes a client's events to the log as Arrow batches, with acknowledgement."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.writing.event_columns import EventColumns, warnings
from flight_service.writing.sink import Receipt, Stored
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.events.encode import Outgoing, arrow_messages
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.publish import Stored as StoredMessage
from fraiseql_assets.stream.publisher import Publisher

WINDOW_BYTES = 8 * 2**20
"""The most bytes of messages of one stream that await acknowledgement."""


@dataclass(eq=False)
class _Batch:
    """A batch with messages that are not acknowledged yet."""

    number: int
    rows: int
    warnings: tuple[str, ...]
    waiting: int = 0
    """How many of its messages await acknowledgement."""
    is_sent: bool = False
    """Whether all its messages have been sent."""
    is_lost: bool = False
    """Whether one of them was not stored."""
    stored: list[StoredMessage] = field(default_factory=list)

    def receipt(self) -> Receipt:
        sequences = [one.sequence for one in self.stored]
        return Receipt(
            batch=self.number,
            batches=1,
            rows=self.rows,
            messages=len(self.stored),
            duplicates=sum(one.is_duplicate for one in self.stored),
            first_sequence=min(sequences, default=None),
            last_sequence=max(sequences, default=None),
            warnings=self.warnings,
        )


class EventLog:
    """Opens the log for events. Thread-safe; connects on the first write."""

    def __init__(self, settings: Settings) -> None:
        self._publisher = Publisher(settings, name="fraiseql flight writing")
        self._subject = f"{settings.subject_prefix}.Batch.ARROW"

    def open(
        self, name: str, principal: Principal, on_stored: Stored, cancellation: Cancellation
    ) -> "EventSink":
        """A sink for events; see `flight_service.writing.service.Open`."""
        return EventSink(self._publisher, self._subject, tenant_of(principal), on_stored)


class EventSink:
    """See `flight_service.writing.sink.Sink`.

    The id of a message is the digest of its content. If a stream is sent again in the same batches,
    its messages are the same, and the log stores none of them twice.
    """

    def __init__(
        self, publisher: Publisher, subject: str, tenant: str | None, on_stored: Stored
    ) -> None:
        self._publisher, self._subject = publisher, subject
        self._columns = EventColumns(tenant)
        self._on_stored = on_stored
        self._changed = threading.Condition()
        self._pending: deque[_Batch] = deque()
        self._bytes = 0
        self._count = 0
        self._failure: BaseException | None = None
        self._total = Receipt(messages=0, duplicates=0)
        self._max_payload = 0

    def write(self, batch: pa.RecordBatch) -> None:
        fitted = self._columns.fit(batch)
        self._max_payload = self._max_payload or self._publisher.max_payload()
        made = _Batch(self._count, batch.num_rows, () if self._count else warnings(batch.schema))
        self._count += 1
        with self._changed:
            self._pending.append(made)
        try:
            for message in arrow_messages(fitted, self._subject, max_payload=self._max_payload):
                self._send(made, message)
        except ValueError as error:
            raise InvalidRequest(f"{error}"[:1].upper() + f"{error}"[1:]) from error
        with self._changed:
            made.is_sent = True
            self._report_in_order()

    def waiting(self) -> AbstractContextManager[None]:
        return nullcontext()

    def finish(self, has_gone: Callable[[], bool]) -> Receipt:
        with self._changed:
            self._changed.wait_for(lambda: not self._pending or self._failure)
            if self._failure:
                raise self._failure
            return self._total

    def abandon(self) -> str:
        with self._changed:
            self._changed.wait_for(lambda: not any(batch.waiting for batch in self._pending))
            stored = self._total
        again = "If you send the stream again in the same batches, nothing is stored twice."
        if not stored.batches:
            return f"No whole batch was published. {again}"
        return (
            f"{_these(stored.batches)} published, up to sequence {stored.last_sequence}: "
            f"{stored.rows:,} rows. {again}"
        )

    def _send(self, batch: _Batch, message: Outgoing) -> None:
        size = len(message.payload)
        with self._changed:
            self._changed.wait_for(
                lambda: self._failure or not self._bytes or self._bytes + size <= WINDOW_BYTES
            )
            if self._failure:
                raise self._failure
            self._bytes += size
            batch.waiting += 1
        self._publisher.send(message).add_done_callback(partial(self._settle, batch, size))

    def _settle(self, batch: _Batch, size: int, sent: Future[StoredMessage]) -> None:
        """Records the acknowledgement of a message, or its failure."""
        with self._changed:
            self._bytes -= size
            batch.waiting -= 1
            error = sent.exception()
            if error is None:
                batch.stored.append(sent.result())
            else:
                batch.is_lost = True
                self._failure = self._failure or error
            self._report_in_order()
            self._changed.notify_all()

    def _report_in_order(self) -> None:
        """Reports stored batches in order."""
        while self._pending:
            batch = self._pending[0]
            if batch.waiting or not batch.is_sent or batch.is_lost:
                return
            self._pending.popleft()
            receipt = batch.receipt()
            self._total = self._total.merged(receipt)
            self._on_stored(receipt)


def _these(batches: int) -> str:
    return "Batch 0 was" if batches == 1 else f"The batches 0 to {batches - 1} were"
