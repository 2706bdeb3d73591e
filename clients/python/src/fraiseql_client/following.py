"""The log's tail, which goes on where it was after every interruption."""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa

from fraiseql_client.errors import Unavailable
from fraiseql_client.events import Event, Position, events_of
from fraiseql_client.reading import chunks
from fraiseql_client.transport import Connection

LOG = "stream/events"
PAUSE_SECONDS = 0.2
RECONNECT_SECONDS = 60
"""How long it tries to connect again, after it has begun."""


class Tail:
    """New events in the log's order, each once, until it is closed.

    If the connection breaks, or the service is restarted, it connects again and goes on with the
    next event. `position` is that of the last event that was handed out: pass it to
    `Client.follow(after=…)` to go on in another process.

    Iterating raises:
        FraiseqlError: see `fraiseql_client.errors`. `Unavailable` only if the service does not
            answer for a minute; `NotFound` if the log no longer holds the next event.
    """

    def __init__(
        self, connection: Connection, entity_type: str | None, after: Position | None
    ) -> None:
        self._connection = connection
        self._entity_type = entity_type
        self.position = after or _head(connection)
        """Everything up to here was handed out, or came before it began. None where the token may
        not know how far the log reaches, until the first event has come."""
        self._batches = self._followed()
        # The stream begins now, not with the first event that is asked for.
        next(self._batches)

    def batches(self) -> Generator[pa.RecordBatch]:
        """The events as batches, as they come."""
        for batch in self._batches:
            self.position = Position.of_last(batch)
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

    def _followed(self) -> Generator[pa.RecordBatch]:
        """Yields a batch without rows once the stream has begun, then the events."""
        has_begun, silent_since = False, time.monotonic()
        while True:
            try:
                with closing(chunks(self._connection, self._ticket(), endless=True)) as following:
                    first, _ = next(following)
                    if not has_begun:
                        has_begun = True
                        yield first
                    for batch, about in following:
                        if batch.num_rows:
                            yield batch
                        # Events that the filter left out need not be looked at again.
                        self.position = _told(about) or self.position
                        silent_since = time.monotonic()
            except Unavailable:
                if not has_begun or time.monotonic() - silent_since > RECONNECT_SECONDS:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _ticket(self) -> dict[str, Any]:
        ticket = {"type": "Tail", "entity_type": self._entity_type}
        return ticket if self.position is None else {**ticket, **self.position.next}


def _head(connection: Connection) -> Position | None:
    """Where the log ends; None of an empty log, and where the token may not know."""
    last = json.loads(connection.info(LOG).app_metadata)["last_sequence"]
    return None if last is None else Position.whole(last)


def _told(about: bytes | None) -> Position | None:
    """The position that the service sends beside a batch."""
    if about is None:
        return None
    following = json.loads(about)["next"]
    return Position(following["start_sequence"], following["start_row"] - 1)
