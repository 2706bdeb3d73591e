"""The log's tail, which goes on where it was after every interruption."""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_client.errors import Unavailable
from fraiseql_client.events import Event, Position, events_of
from fraiseql_client.reading import streamed
from fraiseql_client.transport import Connection

LOG = "stream/events"
LAST_ROW = 2**32 - 1
PAUSE_SECONDS = 0.2


class Tail:
    """New events in the log's order, each once, until it is closed.

    If the connection breaks, or the service is restarted, it connects again and goes on with the
    next event. `position` is that of the last event that was handed out: pass it to
    `Client.follow(after=…)` to go on in another process.

    Iterating raises:
        FraiseqlError: see `fraiseql_client.errors`. `Unavailable` only after several attempts.
    """

    def __init__(
        self, connection: Connection, entity_type: str | None, after: Position | None
    ) -> None:
        self._connection = connection
        self._entity_type = entity_type
        self.position = after or Position(_head(connection), LAST_ROW)
        """Where it stands: everything up to here was handed out, or came before it began."""
        self._batches = self._followed(resumes=after is not None)
        # The stream begins now, not with the first event that is asked for.
        next(self._batches)

    def batches(self) -> Generator[pa.RecordBatch]:
        """The events as batches, as they come."""
        for batch in self._batches:
            self.position = _last(batch)
            yield batch

    def __iter__(self) -> Iterator[Event]:
        for batch in self._batches:
            for event in events_of(batch):
                self.position = event.position
                yield event

    def close(self) -> None:
        """Ends the stream."""
        self._batches.close()

    def __enter__(self) -> "Tail":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _followed(self, *, resumes: bool) -> Generator[pa.RecordBatch]:
        """Yields a batch without rows once the stream has begun, then the events."""
        seen, is_open = self.position, False
        while True:
            has_begun = False
            try:
                for batch in self._once(seen, resumes=resumes):
                    has_begun = True
                    new = _after(batch, seen)
                    if new.num_rows:
                        seen = _last(new)
                        yield new
                    elif not is_open:
                        is_open = True
                        yield new
            except Unavailable:
                # Beginning was attempted several times already.
                if not has_begun:
                    raise
            resumes = True
            time.sleep(PAUSE_SECONDS)

    def _once(self, seen: Position, *, resumes: bool) -> Iterator[pa.RecordBatch]:
        """Batches of one connection. The log is read only once the tail has begun, so that nothing
        is missed in between; some events come from both."""
        ticket = {"type": "Tail", "entity_type": self._entity_type}
        with closing(streamed(self._connection, ticket, endless=True)) as following:
            yield next(following)
            if resumes:
                yield from self._missed(seen)
            yield from following

    def _missed(self, seen: Position) -> Iterator[pa.RecordBatch]:
        """What the log holds from a position on, with some of what comes before it."""
        for endpoint in self._connection.info(LOG).endpoints:
            if json.loads(endpoint.app_metadata)["last_sequence"] >= seen.sequence:
                with closing(streamed(self._connection, endpoint.ticket)) as batches:
                    for batch in batches:
                        yield self._wanted(batch)

    def _wanted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self._entity_type is None:
            return batch
        return batch.filter(pc.field("entity_type") == self._entity_type)


def _head(connection: Connection) -> int:
    """The last sequence of the log; 0 of an empty one."""
    return json.loads(connection.info(LOG).app_metadata)["last_sequence"] or 0


def _after(batch: pa.RecordBatch, seen: Position) -> pa.RecordBatch:
    sequence, row = pc.field("stream_seq"), pc.field("stream_row")
    is_new = (sequence > seen.sequence) | ((sequence == seen.sequence) & (row > seen.row))
    return batch.filter(is_new)


def _last(batch: pa.RecordBatch) -> Position:
    return Position(batch["stream_seq"][-1].as_py(), batch["stream_row"][-1].as_py())
