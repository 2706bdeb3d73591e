"""Synchronous access to the log: its bounds, its messages, and its dead-letter messages.

Requests and dead-letter messages use one connection, which belongs to an event loop in a separate
thread. Every `read` opens its own connection, because another thread consumes it.
"""

import asyncio
import json
import secrets
import threading
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError, ServerError, ServiceUnavailableError

from fraiseql_assets.datasets import EVENTS, Dataset
from fraiseql_assets.events.messages import Messages, Reject
from fraiseql_assets.planes import Batching
from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import (
    LogError,
    LogUnavailable,
    connect,
    stream_missing,
    translated,
)
from fraiseql_assets.stream.dead_letters import ANY_SUBJECT, store_dead_letters
from fraiseql_assets.stream.position import Bounds, LogPosition, midnight
from fraiseql_assets.stream.reader import read_range
from fraiseql_assets.stream.requirements import UnsuitableSetting, require_log, unsuitable_settings
from fraiseql_assets.stream.wire import NO_SUBJECT, PURGE_FAILED

T = TypeVar("T")

REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a NATS server announces about itself."""

    version: str
    max_payload: int
    """The largest message it accepts, in bytes."""


class Log:
    """The stream of a dataset, open for the duration of a `with` block.

    Raises, from entering and from every method:
        LogUnavailable: NATS cannot be reached, refuses the credentials, or stopped answering.
        StreamMissing: NATS has no such stream.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        reconnect_seconds: int = 0,
        dataset: Dataset = EVENTS,
    ) -> None:
        self._settings = settings
        self.stream = dataset.stream(settings)
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

    def server(self) -> ServerInfo:
        """The announcement of the connected server."""
        version = self._client.connected_server_version
        return ServerInfo(
            f"{version.major}.{version.minor}.{version.patch}", self._client.max_payload
        )

    def bounds(self) -> Bounds:
        """The first and last sequence, and the amount of data.

        Raises:
            UnsuitableStream: the stream's configuration is unsuitable for a log.
        """
        info = self._info(self.stream)
        require_log(info.config)
        return _bounds(info)

    def bounds_of(self, stream: str) -> Bounds:
        """The bounds of another stream on the same server, such as the dead-letter stream."""
        return _bounds(self._info(stream))

    def unsuitable_settings(self) -> list[UnsuitableSetting]:
        """The settings of the stream that are unsuitable for a log."""
        return unsuitable_settings(self._info(self.stream).config)

    def position_from(self, sequence: int) -> LogPosition | None:
        """The first message at or after a sequence, None when there is none."""
        return self._direct_get({"seq": sequence, "next_by_subj": ">"})

    def newest(self) -> int:
        """The sequence of the newest message that the log still holds, 0 if it holds none."""
        position = self._direct_get({"last_by_subj": ">"})
        return position.sequence if position else 0

    def stored_at(self, sequence: int) -> datetime | None:
        """When the first message at or after a sequence was stored, None when there is none."""
        headers = self._headers({"seq": sequence, "next_by_subj": ">"})
        # The server writes nine decimals; Python parses six.
        if headers is None:
            return None
        return datetime.fromisoformat(f"{headers['Nats-Time-Stamp'][:19]}+00:00")

    def first_of_day(self, day: date) -> int | None:
        """The sequence of the first message stored on or after a UTC day, None without one."""
        return self.first_since(midnight(day))

    def first_since(self, moment: datetime) -> int | None:
        """The sequence of the first message stored at or after a moment, None without one."""
        start = moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
        position = self._direct_get({"start_time": start, "batch": 1})
        return position.sequence if position else None

    def day_range(self, day: date) -> SequenceRange | None:
        """The sequences that the log holds of a UTC day, None when it holds none of it."""
        first = self.first_of_day(day)
        if first is None:
            return None
        next_first = self.first_of_day(day + timedelta(days=1))
        last = next_first - 1 if next_first else self.bounds().last
        return SequenceRange(first, last) if first <= last else None

    def count_messages(self, sequences: SequenceRange) -> int:
        """How many messages the log holds in a range; deleted ones do not count."""
        first, behind = sequences.first, sequences.last + 1
        return self._count_from(self.stream, first) - self._count_from(self.stream, behind)

    def count_dead_letters(self) -> int:
        """How many dead-letter messages there are; other messages of their stream do not count."""
        return self._count_from(self._settings.dead_letter_stream, 1, ANY_SUBJECT)

    def read(
        self, sequences: SequenceRange, batching: Batching, *, ahead: int
    ) -> Generator[Messages]:
        """Yields a range's messages in batches, with up to `ahead` batches read in advance.

        The same range with the same batching gives the same batches. Closing the iterator stops the
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

    def store_dead_letters(self, stage: str, rejects: Sequence[Reject]) -> int:
        """Stores rejects in the dead-letter stream, each once. Returns how many were new."""
        return self._wait(
            store_dead_letters(
                self._client, self._settings.dead_letter_stream, self.stream, stage, rejects
            )
        )

    def probe_write(self) -> None:
        """Returns if both streams can be written. Their messages are not changed.

        Raises:
            LogUnavailable: a stream cannot be written, for example because the disk is full.
        """
        name = f"{self._settings.dead_letter_stream}.probe.{secrets.token_hex(8)}"

        async def probe() -> None:
            # A purge that deletes nothing fails if the server cannot write the stream.
            for stream in (self.stream, self._settings.dead_letter_stream):
                try:
                    await self._jetstream.purge_stream(stream, subject=NO_SUBJECT)
                except ServerError as error:
                    # A stream that denies purges returns a different code.
                    if error.err_code == PURGE_FAILED:
                        raise
            stored = await self._jetstream.publish(name, b"")
            await self._jetstream.delete_msg(self._settings.dead_letter_stream, stored.seq)

        try:
            self._wait(probe())
        except (ServerError, ServiceUnavailableError, NatsTimeoutError) as error:
            raise LogUnavailable(
                f"NATS cannot write ({getattr(error, 'description', None) or 'no answer'}). Make "
                "room on its disk, or raise max_file_store, and restart the server."
            ) from error
        except NotFoundError as error:
            raise stream_missing(f"{self.stream} or {self._settings.dead_letter_stream}") from error
        except (NatsError, TimeoutError, OSError) as error:
            raise LogUnavailable(f"NATS did not answer to a write: {error}") from error

    @property
    def _jetstream(self) -> JetStreamContext:
        return self._client.jetstream(timeout=REQUEST_SECONDS)

    def _info(self, stream: str) -> StreamInfo:
        with translated(stream, "the bounds"):
            return self._wait(self._jetstream.stream_info(stream))

    def _count_from(self, stream: str, sequence: int, filter_subject: str | None = None) -> int:
        """The number of messages from a sequence on: what a consumer starting there would get."""
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=sequence,
            filter_subject=filter_subject,
            ack_policy=AckPolicy.NONE,
            mem_storage=True,
            inactive_threshold=5.0,
        )

        async def ask() -> int:
            info = await self._jetstream.add_consumer(stream, config)
            await self._jetstream.delete_consumer(stream, info.name)
            return info.num_pending or 0

        with translated(stream, "the number of messages"):
            return self._wait(ask())

    def _direct_get(self, request: dict[str, Any]) -> LogPosition | None:
        headers = self._headers(request)
        if headers is None:
            return None
        stored = datetime.fromisoformat(headers["Nats-Time-Stamp"][:19]).date()
        return LogPosition(int(headers["Nats-Sequence"]), stored)

    def _headers(self, request: dict[str, Any]) -> dict[str, str] | None:
        """The headers of one message by JetStream's direct get (ADR-31), None if there is none."""
        subject = f"$JS.API.DIRECT.GET.{self.stream}"
        work = self._client.request(subject, json.dumps(request).encode(), timeout=REQUEST_SECONDS)
        with translated(self.stream, "the position of a message"):
            try:
                headers = self._wait(work).headers or {}
            except NoRespondersError as error:
                # A missing stream has no responder either; `bounds` reports it.
                self.bounds()
                raise LogError(
                    f"NATS answers no direct get on stream {self.stream}: it was made without "
                    "allow_direct. Run `fraiseql-assets setup`."
                ) from error
        if headers.get("Status") == "404":
            return None
        if "Status" in headers:
            raise LogError(f"NATS refuses a direct get on stream {self.stream}: {dict(headers)}")
        return headers

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _bounds(info: StreamInfo) -> Bounds:
    state = info.state
    return Bounds(state.first_seq, state.last_seq, state.messages, state.bytes)
