"""Reading an explicit range of the log, statelessly: it can be read any number of times.

An ephemeral pull consumer without acknowledgements delivers from the range's first sequence. Each
pull asks for a window of messages and the next is sent while the last still arrives, so that the
server never has more than two windows in flight; a slow reader slows only its own pulls. A consumer
that is lost (a restarted server forgets ephemeral ones) is made anew at the next sequence wanted.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from fraiseql_assets.events.messages import Messages
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.stream.connection import LogUnavailable
from fraiseql_assets.stream.position import stream_missing

PULL_MESSAGES = 2_000
PULL_BYTES = 16 * 2**20
STALL_SECONDS = 5.0
GIVE_UP_SECONDS = 60.0


async def read_range(
    client: Client, stream: str, span: SequenceRange, *, batch_messages: int, batch_bytes: int
) -> AsyncIterator[Messages]:
    """Yields every message of the range that the log still holds, in order, as batches.

    A batch ends at `batch_messages` messages or once it holds `batch_bytes` of payload, so the same
    range gives the same batches each time.

    Raises:
        StreamMissing: the server has no such stream.
        LogUnavailable: nothing arrived for a minute though more should have.
    """
    batch = _Batch()
    async for message, sequence, stored in _deliver(client, stream, span):
        batch.add(message, sequence, stored)
        if len(batch.sequences) >= batch_messages or batch.bytes >= batch_bytes:
            yield batch.take()
    if batch.sequences:
        yield batch.take()


class _Batch:
    """Messages on their way to becoming columns."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.sequences: list[int] = []
        self.times: list[int] = []
        self.subjects: list[str] = []
        self.headers: list[dict[str, str] | None] = []
        self.payloads: list[bytes] = []
        self.bytes = 0

    def add(self, message: Msg, sequence: int, stored: int) -> None:
        self.sequences.append(sequence)
        self.times.append(stored)
        self.subjects.append(message.subject)
        self.headers.append(message.headers)
        self.payloads.append(message.data)
        self.bytes += len(message.data)

    def take(self) -> Messages:
        taken = Messages(self.sequences, self.times, self.subjects, self.headers, self.payloads)
        self._clear()
        return taken


async def _deliver(
    client: Client, stream: str, span: SequenceRange
) -> AsyncIterator[tuple[Msg, int, int]]:
    """Messages of the range with sequence and time, over as many consumers as it takes."""
    wanted = span.first
    clock = asyncio.get_running_loop().time
    progress = clock()
    while wanted <= span.last:
        try:
            async with _Pull(client, stream, wanted, span.last) as pull:
                while (item := await pull.next()) is not None:
                    wanted, progress = item[1] + 1, clock()
                    yield item
                    if wanted > span.last:
                        break
            return
        except (_StalledError, NatsError, TimeoutError, OSError) as error:
            if clock() - progress > GIVE_UP_SECONDS:
                raise LogUnavailable(
                    f"NATS delivered nothing of stream {stream} from sequence {wanted} on for "
                    f"{GIVE_UP_SECONDS:.0f} s ({error or type(error).__name__}). "
                    "Check the server; the run may then be retried."
                ) from error
            await asyncio.sleep(0.5)


class _StalledError(Exception):
    """The consumer is gone or delivers nothing."""


class _Pull:
    """One ephemeral consumer and its pulls."""

    def __init__(self, client: Client, stream: str, first: int, last: int) -> None:
        self._client, self._stream, self._first, self._last = client, stream, first, last
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._unasked = 0
        self._in_flight = 0

    async def __aenter__(self) -> "_Pull":
        self._jetstream = self._client.jetstream(timeout=STALL_SECONDS)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._first,
            ack_policy=AckPolicy.NONE,
            mem_storage=True,
            inactive_threshold=30.0,
        )
        try:
            info = await self._jetstream.add_consumer(self._stream, config)
        except NotFoundError as error:
            raise stream_missing(self._stream) from error
        self._consumer = info.name
        # Deleted messages make the range shorter than it looks; what is pending is what there is.
        self._unasked = min(info.num_pending or 0, self._last - self._first + 1)
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._arrived.put, pending_msgs_limit=0, pending_bytes_limit=0
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client.is_connected:
            await self._subscription.unsubscribe()
            # A consumer that cannot be deleted goes by itself once it has been inactive.
            with suppress(NatsError, TimeoutError):
                await self._jetstream.delete_consumer(self._stream, self._consumer)

    async def next(self) -> tuple[Msg, int, int] | None:
        """The next message with its sequence and time, None when the range has no more."""
        while True:
            await self._keep_asking()
            if self._in_flight == 0 and self._arrived.empty():
                return None
            message = await self._arrival()
            if message.reply:
                self._in_flight -= 1
                sequence, stored = _position(message.reply)
                return (message, sequence, stored) if sequence <= self._last else None
            self._handle_status(message)

    async def _arrival(self) -> Msg:
        if not self._arrived.empty():
            return self._arrived.get_nowait()
        try:
            async with asyncio.timeout(STALL_SECONDS):
                return await self._arrived.get()
        except TimeoutError as error:
            raise _StalledError("no message in time") from error

    async def _keep_asking(self) -> None:
        while self._unasked and self._in_flight <= PULL_MESSAGES:
            count = min(PULL_MESSAGES, self._unasked)
            # A pull must have room for the largest message there can be.
            room = max(PULL_BYTES, 2 * self._client.max_payload)
            request = {"batch": count, "max_bytes": room, "expires": int(STALL_SECONDS * 10**9)}
            await self._client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
                json.dumps(request).encode(),
                reply=self._inbox,
            )
            self._unasked -= count
            self._in_flight += count

    def _handle_status(self, message: Msg) -> None:
        """A message without a reply is the server's word on a pull: it is over, or it failed."""
        headers = message.headers or {}
        if not any(end in str(headers) for end in ("Batch Completed", "Exceeds MaxBytes")):
            raise _StalledError(f"the pull ended with {headers}")
        left = int(headers.get("Nats-Pending-Messages", 0))
        self._in_flight -= left
        self._unasked += left


def _position(reply: str) -> tuple[int, int]:
    """Sequence and time (nanoseconds) out of a delivered message's reply subject.

    `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>`, or
    with domain and account hash before the stream and a random token at the end (ADR-15).
    """
    tokens = reply.split(".")
    at = 5 if len(tokens) == 9 else 7
    return int(tokens[at]), int(tokens[at + 2])
