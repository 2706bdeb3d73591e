"""The log as synchronous code sees it: one connection, held by an event loop in its own thread."""

import asyncio
import threading
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Any, Self, TypeVar

from nats.aio.client import Client

from fraiseql_assets.events.messages import Messages, Reject
from fraiseql_assets.planes import Batching
from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import position
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.dead_letters import store_dead_letters
from fraiseql_assets.stream.position import Bounds, LogPosition
from fraiseql_assets.stream.reader import read_range

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """A NATS server as it announces itself."""

    version: str
    max_payload: int
    """The largest message it takes, in bytes."""


class Log:
    """A stream of JetStream, open for the length of a `with` block.

    Raises, from entering and from every method:
        LogUnavailable: NATS cannot be reached, refuses the credentials, or stopped answering.
        StreamMissing: NATS has no such stream.
    """

    def __init__(self, settings: Settings, *, name: str, reconnect_seconds: int = 0) -> None:
        self._settings = settings
        self.stream = settings.stream
        self.dead_letters = settings.dead_letter_stream
        self._connect = connect(settings, name=name, reconnect_seconds=reconnect_seconds)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="log", daemon=True)
        self._thread.start()
        try:
            self._client: Client = self._wait(self._connect.__aenter__())
        except BaseException:
            self._stop_loop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._wait(self._connect.__aexit__(kind, error, trace))
        finally:
            self._stop_loop()

    def server(self) -> Server:
        """What the server says of itself."""
        version = self._client.connected_server_version
        return Server(f"{version.major}.{version.minor}.{version.patch}", self._client.max_payload)

    def bounds(self) -> Bounds:
        """The first and last sequence and how much there is."""
        return self._wait(position.bounds(self._client, self.stream))

    def bounds_of(self, stream: str) -> Bounds:
        """The bounds of another stream of the same server, such as the dead letters'."""
        return self._wait(position.bounds(self._client, stream))

    def position_from(self, sequence: int) -> LogPosition | None:
        """The first message at or after a sequence."""
        return self._wait(position.position_from(self._client, self.stream, sequence))

    def first_of_day(self, day: date) -> int | None:
        """The sequence of the first message stored on or after a UTC day."""
        return self._wait(position.first_of_day(self._client, self.stream, day))

    def day_range(self, day: date) -> SequenceRange | None:
        """The sequences that the log stores of a UTC day, None when it has none."""
        return self._wait(position.day_range(self._client, self.stream, day))

    def count_messages(self, sequences: SequenceRange) -> int:
        """How many messages the log holds in a range."""
        return self._wait(position.count_messages(self._client, self.stream, sequences))

    def store_dead_letters(self, stage: str, rejects: Sequence[Reject]) -> int:
        """Files dead letters, each once. Returns how many were new."""
        return self._wait(
            store_dead_letters(self._client, self.dead_letters, self.stream, stage, rejects)
        )

    def read(
        self, sequences: SequenceRange, batching: Batching, *, ahead: int
    ) -> Generator[Messages]:
        """Yields a range's messages in batches, with up to `ahead` batches read in advance.

        The same range with the same cut gives the same batches. Closing the iterator ends the
        reading.
        """
        batches = read_range(
            self._settings,
            self.stream,
            sequences,
            batch_messages=batching.batch_messages,
            batch_bytes=batching.batch_bytes,
        )
        return prefetch(batches, ahead=ahead)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
