"""Reads streams in threads: ahead of their consumer, and several endpoints at once.

Arrow's blocking read ignores Ctrl-C, so no stream is read in the thread that waits for it.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import flight

from fraiseql_client.transport import Connection, Ticket

AHEAD = 2
"""Batches that are read before they are asked for."""
_END = object()

_T = TypeVar("_T")


class _Streams:
    """The streams that are open. Cancels them all, and every later one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[flight.FlightStreamReader] = set()
        self._cancelled = False

    def add(self, reader: flight.FlightStreamReader) -> flight.FlightStreamReader:
        with self._lock:
            self._open.add(reader)
            cancelled = self._cancelled
        if cancelled:
            reader.cancel()
        return reader

    def remove(self, reader: flight.FlightStreamReader) -> None:
        with self._lock:
            self._open.discard(reader)

    def cancel(self) -> None:
        with self._lock:
            self._cancelled, readers = True, list(self._open)
        for reader in readers:
            reader.cancel()


def streamed(connection: Connection, ticket: Ticket | flight.Ticket) -> Generator[pa.RecordBatch]:
    """The batches of a ticket, as they arrive. Closing the generator cancels the stream.

    The ticket is asked for again only until its first batch has arrived.
    """
    with closing(chunks(connection, ticket)) as found:
        for batch, _ in found:
            yield batch


def chunks(
    connection: Connection, ticket: Ticket | flight.Ticket, *, endless: bool = False
) -> Generator[tuple[pa.RecordBatch, bytes | None]]:
    """The batches of a ticket with what the service tells beside each; otherwise as `streamed`.

    An endless stream yields a batch without rows as soon as it has begun, and is asked for again
    only until then.
    """
    streams = _Streams()

    def batches() -> Iterator[tuple[pa.RecordBatch, bytes | None]]:
        reader, first = connection.again(begun)
        if first is None:
            return
        with connection.errors():
            yield first
            for chunk in reader:
                yield _pair(chunk)

    def begun() -> tuple[flight.FlightStreamReader, tuple[pa.RecordBatch, bytes | None] | None]:
        reader = streams.add(connection.open(ticket))
        with connection.errors():
            if endless:
                return reader, (pa.RecordBatch.from_pylist([], reader.schema), None)
            return reader, next((_pair(chunk) for chunk in reader), None)

    ahead = _ahead(batches(), streams.cancel)
    with closing(ahead):
        yield from ahead


def collected(
    connection: Connection,
    endpoints: list[flight.FlightEndpoint],
    parallel: int,
    advance: Callable[[int], None],
) -> list[pa.RecordBatch]:
    """All batches of the endpoints, in their order, `parallel` endpoints at once.

    An endpoint that broke off is read again from its beginning; `advance` gets the number of rows
    that arrived, and a negative one for those of an endpoint that is read again.
    """
    streams = _Streams()

    def part(endpoint: flight.FlightEndpoint) -> list[pa.RecordBatch]:
        return connection.again(lambda: once(endpoint))

    def once(endpoint: flight.FlightEndpoint) -> list[pa.RecordBatch]:
        found: list[pa.RecordBatch] = []
        with connection.errors():
            reader = streams.add(connection.open(endpoint.ticket))
            try:
                for chunk in reader:
                    found.append(chunk.data)
                    advance(chunk.data.num_rows)
            except Exception:
                advance(-sum(batch.num_rows for batch in found))
                raise
            finally:
                streams.remove(reader)
        return found

    pool = ThreadPoolExecutor(max(1, min(parallel, len(endpoints))), "fraiseql")
    try:
        futures = [pool.submit(part, endpoint) for endpoint in endpoints]
        return [batch for future in futures for batch in future.result()]
    except BaseException:
        streams.cancel()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _pair(chunk: flight.FlightStreamChunk) -> tuple[pa.RecordBatch, bytes | None]:
    about = chunk.app_metadata
    return chunk.data, None if about is None else about.to_pybytes()


def _ahead(items: Iterable[_T], cancel: Callable[[], None]) -> Generator[_T]:
    """Yields the items; a thread computes a few of them in advance."""
    ready: queue.Queue[Any] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def offer(item: object) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def run() -> None:
        end: object = _END
        try:
            for item in items:
                offer((item,))
                if stopped.is_set():
                    break
        except BaseException as error:  # raised again where the items are used
            end = error
        offer(end)

    thread = threading.Thread(target=run, name="fraiseql", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stopped.set()
        cancel()
        thread.join()
