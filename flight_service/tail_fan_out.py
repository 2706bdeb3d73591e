"""Follows the log once for all tailing clients, with a bounded buffer for each client."""

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from flight_service.errors import NOT_FOUND, ServiceError
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.messages import Messages
from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.stream.position import Bounds

ASK_SECONDS = 0.2
"""The interval between requests for the end of the log."""
AHEAD = 2
BUFFER_BYTES = 8 * 2**20
"""The size of a client's buffer in bytes."""


class EventsGone(ServiceError):
    """The log no longer holds the events that come next."""

    status = NOT_FOUND

    def __init__(self, wanted: int, first: int) -> None:
        super().__init__(
            f"The log no longer holds sequence {wanted}: it begins at {first}. Read the older "
            f"events from an asset, such as analytics/events, and go on here from {first}."
        )


class FollowedLog(Protocol):
    """The required part of the log's interface; see `fraiseql_assets.stream.log.Log`."""

    def bounds(self) -> Bounds: ...

    def read(
        self, sequences: SequenceRange, batching: Batching, *, ahead: int
    ) -> Generator[Messages]: ...


OpenLog = Callable[[], AbstractContextManager[FollowedLog]]


@dataclass(eq=False)
class _Reader:
    """A client and its buffered events."""

    first: int | None = None
    """The first sequence to send; None for new events only."""
    start: int | None = None
    """The sequence after which it starts. None until the end of the log is known."""
    position: int = 0
    """The last sequence that it has."""
    waiting: deque[tuple[int, list[pa.RecordBatch], int]] = field(default_factory=deque)
    """Each entry is the last sequence of some events, the events, and their bytes."""
    bytes: int = 0
    is_late: bool = False
    """Whether its buffer was full. It then reads the log itself until it has caught up."""


@dataclass(eq=False)
class _Run:
    """One connection to the log, from the first client to the last."""

    readers: set[_Reader] = field(default_factory=set)
    head: int = 0
    """The last sequence whose events were handed to the readers."""
    failure: Exception | None = None


class FanOut:
    """The log's new events, for any number of clients. Thread-safe.

    One thread and one connection follow the log while there is a client. A client that reads too
    slowly for its buffer reads the log over a connection of its own until it has caught up.
    """

    def __init__(
        self, open_log: OpenLog, batching: Batching, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        self._open_log = open_log
        self._batching = batching
        self._buffer_bytes = buffer_bytes
        self._changed = threading.Condition()
        self._run: _Run | None = None

    def follow(
        self,
        cancellation: Cancellation,
        first: int | None = None,
        tick_seconds: float | None = None,
    ) -> Generator[list[pa.RecordBatch]]:
        """Yields an empty list when the log's head is known, then all events behind it, or from the
        sequence `first` on. With `tick_seconds` it yields an empty list whenever there was nothing
        for so long.

        Raises:
            LogError: the log cannot be followed.
            EventsGone: the log no longer holds the events that come next.
        """
        reader = _Reader(first)
        run = self._join(reader)
        try:
            cancellation.then(self._wake)
            self._wait(run, cancellation, lambda: reader.start is not None)
            yield []
            while not cancellation.over:
                self._wait(
                    run, cancellation, lambda: bool(reader.waiting or reader.is_late), tick_seconds
                )
                batches = self._taken(reader)
                if batches:
                    yield batches
                elif reader.is_late:
                    yield from self._caught_up(run, reader, cancellation)
                else:
                    yield []
        finally:
            self._leave(run, reader)

    def _join(self, reader: _Reader) -> _Run:
        with self._changed:
            if self._run is None:
                self._run = _Run()
                thread = threading.Thread(
                    target=self._follow, args=(self._run,), name="tail", daemon=True
                )
                thread.start()
            self._run.readers.add(reader)
            self._changed.notify_all()
            return self._run

    def _leave(self, run: _Run, reader: _Reader) -> None:
        with self._changed:
            run.readers.discard(reader)
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait(
        self,
        run: _Run,
        cancellation: Cancellation,
        holds: Callable[[], bool],
        seconds: float | None = None,
    ) -> None:
        with self._changed:
            self._changed.wait_for(lambda: holds() or run.failure or cancellation.over, seconds)
            if run.failure and not holds():
                raise run.failure

    def _taken(self, reader: _Reader) -> list[pa.RecordBatch]:
        with self._changed:
            if not reader.waiting:
                return []
            reader.position, batches, size = reader.waiting.popleft()
            reader.bytes -= size
            return batches

    def _caught_up(
        self, run: _Run, reader: _Reader, cancellation: Cancellation
    ) -> Generator[list[pa.RecordBatch]]:
        """Reads events from the log that did not fit into the buffer."""
        with self._open_log() as log:
            while not cancellation.over:
                with self._changed:
                    position, head = reader.position, run.head
                    if position >= head:
                        reader.is_late = False
                        return
                sequences = SequenceRange(position + 1, head)
                kept = log.bounds().first
                if kept > sequences.first:
                    raise EventsGone(sequences.first, kept)
                with closing(self._read(log, sequences)) as read:
                    for _, batches in read:
                        if cancellation.over:
                            return
                        yield batches
                reader.position = head

    def _follow(self, run: _Run) -> None:
        try:
            with self._open_log() as log:
                self._hand_out(run, log)
        except Exception as error:
            with self._changed:
                run.failure = error
        finally:
            with self._changed:
                if self._run is run:
                    self._run = None
                self._changed.notify_all()

    def _hand_out(self, run: _Run, log: FollowedLog) -> None:
        following: int | None = None
        while (joining := self._joining(run)) is not None:
            bounds = log.bounds()
            last = bounds.last
            with self._changed:
                if following is not None and last + 1 < following:
                    # The stream was recreated and starts at 1 again.
                    following = bounds.first
                    for reader in run.readers:
                        reader.start = reader.start and 0
                if following is None:
                    run.head = last
                for reader in joining:
                    behind = last if reader.first is None else min(reader.first - 1, last)
                    reader.start = reader.position = behind
                    reader.is_late = behind < last
                self._changed.notify_all()
            if following is not None and last >= following:
                with closing(self._read(log, SequenceRange(following, last))) as read:
                    for through, batches in read:
                        self._offer(run, through, batches)
            following = last + 1
            with self._changed:
                run.head = last

    def _joining(self, run: _Run) -> list[_Reader] | None:
        """The readers that wait to hear of the head, after a moment if there are none; None when no
        reader is left."""

        def new() -> list[_Reader]:
            return [reader for reader in run.readers if reader.start is None]

        with self._changed:
            self._changed.wait_for(lambda: not run.readers or new(), ASK_SECONDS)
            if not run.readers:
                self._run = None
                return None
            return new()

    def _offer(self, run: _Run, through: int, batches: list[pa.RecordBatch]) -> None:
        size = sum(batch.nbytes for batch in batches)
        with self._changed:
            run.head = through
            for reader in run.readers:
                if reader.is_late or reader.start is None or through <= reader.start:
                    continue
                if reader.waiting and reader.bytes + size > self._buffer_bytes:
                    reader.is_late = True
                else:
                    reader.waiting.append((through, batches, size))
                    reader.bytes += size
            self._changed.notify_all()

    def _read(
        self, log: FollowedLog, sequences: SequenceRange
    ) -> Generator[tuple[int, list[pa.RecordBatch]]]:
        for messages in log.read(sequences, self._batching, ahead=AHEAD):
            batches = decode(messages).batches
            if batches:
                yield messages.sequences[-1], batches
