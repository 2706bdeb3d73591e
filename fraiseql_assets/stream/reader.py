"""Reading an explicit range of the log, statelessly: it can be read any number of times.

An ephemeral pull consumer without acknowledgements delivers from the range's first sequence. Each
pull asks for a window of messages and the next is sent while the last still arrives, so that the
server never has more than two windows in flight; a slow reader slows only its own pulls. When the
connection or the consumer is lost (a restarted server forgets ephemeral ones), both are made anew
at the next sequence wanted.
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from fraiseql_assets.events.messages import Messages
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import (
    LogUnavailable,
    public_address,
    servers_of,
    stream_missing,
    unavailable,
)
from fraiseql_assets.stream.wire import Frame, Wire, WireError, parse_headers

PULL_MESSAGES = 5_000
PULL_BYTES = 16 * 2**20
STALL_SECONDS = 5.0
GIVE_UP_SECONDS = 60.0
RETRY_SECONDS = 0.5

STREAM_NOT_FOUND = 10059
"""JetStream's error code for a stream that is not there."""

Delivered = tuple[Frame, int, int]
"""A message with its sequence and its time of storage."""


def read_range(
    settings: Settings, span: SequenceRange, *, batch_messages: int, batch_bytes: int
) -> Iterator[Messages]:
    """Yields every message of the range that the log still holds, in order, as batches.

    A batch ends at `batch_messages` messages or once it holds `batch_bytes` of payload, so the same
    range gives the same batches each time. Closing the iterator ends the reading.

    Raises:
        StreamMissing: the server has no such stream.
        LogUnavailable: nothing arrived for a minute though more should have.
    """
    batch = _Batch()
    for frame, sequence, stored in _deliver(settings, span):
        batch.add(frame, sequence, stored)
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

    def add(self, frame: Frame, sequence: int, stored: int) -> None:
        subject, _, _, header, payload = frame
        self.sequences.append(sequence)
        self.times.append(stored)
        self.subjects.append(subject.decode(errors="replace"))
        self.headers.append(parse_headers(header) if header else None)
        self.payloads.append(payload)
        self.bytes += len(payload)

    def take(self) -> Messages:
        taken = Messages(self.sequences, self.times, self.subjects, self.headers, self.payloads)
        self._clear()
        return taken


def _deliver(settings: Settings, span: SequenceRange) -> Iterator[Delivered]:
    """The range's messages, over as many connections as it takes."""
    servers = servers_of(settings)
    wanted, attempt, silent_since = span.first, 0, time.monotonic()
    while wanted <= span.last:
        server = servers[attempt % len(servers)]
        attempt += 1
        try:
            with _Pull(server, settings.stream, SequenceRange(wanted, span.last)) as pull:
                for delivered in pull:
                    wanted = delivered[1] + 1
                    yield delivered
                    # However long it took to use the message, the server was not to blame.
                    silent_since = time.monotonic()
            return
        except (WireError, OSError) as error:
            if time.monotonic() - silent_since > GIVE_UP_SECONDS:
                if wanted == span.first:
                    raise unavailable(public_address(server), error) from error
                raise LogUnavailable(
                    f"NATS delivered nothing of stream {settings.stream} from sequence {wanted} on "
                    f"for {GIVE_UP_SECONDS:.0f} s ({str(error) or type(error).__name__}). "
                    "Check the server; the run may then be retried."
                ) from error
            time.sleep(RETRY_SECONDS)


class _Pull:
    """One connection with one ephemeral consumer, and its pulls.

    Raises, from entering and iterating:
        WireError, OSError: the connection or the consumer is lost, or delivers nothing.
    """

    def __init__(self, server: str, stream: str, span: SequenceRange) -> None:
        self._stream, self._span = stream, span
        self._wire = Wire(server, name="fraiseql-assets reader", timeout=STALL_SECONDS)
        self._delivered = self._in_flight = 0

    def __enter__(self) -> Self:
        self._wire.__enter__()
        try:
            created = self._ask(
                f"CONSUMER.CREATE.{self._stream}",
                {
                    "stream_name": self._stream,
                    "config": {
                        "deliver_policy": "by_start_sequence",
                        "opt_start_seq": self._span.first,
                        "ack_policy": "none",
                        "mem_storage": True,
                        "inactive_threshold": 30 * 10**9,
                    },
                },
            )
        except BaseException:
            self._wire.__exit__(None, None, None)
            raise
        self._consumer = created["name"]
        # Deleted messages make the range shorter than it looks; what is pending is what there is.
        self._unasked = min(created["num_pending"], len(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A consumer that cannot be deleted goes by itself once it has been inactive.
        with suppress(WireError, OSError):
            if not isinstance(error, WireError | OSError):
                self._ask(f"CONSUMER.DELETE.{self._stream}.{self._consumer}", {})
        self._wire.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Delivered]:
        last = self._span.last
        while True:
            self._keep_asking()
            if not self._in_flight:
                return
            for frame in self._wire.frames():
                reply = frame[2]
                if not reply:
                    self._handle_status(frame)
                    continue
                sequence, number, stored = _position(reply)
                self._in_flight -= 1
                self._delivered += 1
                if number != self._delivered:
                    raise WireError(f"the consumer went from message {self._delivered} to {number}")
                if sequence > last:
                    return
                yield frame, sequence, stored
                if sequence == last:
                    return

    def _keep_asking(self) -> None:
        while self._unasked and self._in_flight <= PULL_MESSAGES:
            count = min(PULL_MESSAGES, self._unasked)
            # A pull must have room for the largest message there can be.
            room = max(PULL_BYTES, 2 * self._wire.max_payload)
            request = {"batch": count, "max_bytes": room, "expires": int(STALL_SECONDS * 10**9)}
            self._wire.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
                json.dumps(request).encode(),
                reply=f"{self._wire.inbox}.pull",
            )
            self._unasked -= count
            self._in_flight += count

    def _handle_status(self, frame: Frame) -> None:
        """A message without a reply is the server's word on a pull: it is over, or it failed."""
        status, _, rest = frame[3].partition(b"\r\n")
        if not (b"Batch Completed" in status or b"Exceeds MaxBytes" in status):
            raise WireError(f"the pull ended with {status.decode()}")
        left = int(parse_headers(b"\r\n" + rest).get("Nats-Pending-Messages", 0))
        self._in_flight -= left
        self._unasked += left

    def _ask(self, what: str, request: dict[str, Any]) -> dict[str, Any]:
        """Asks JetStream, and returns its answer.

        Raises:
            StreamMissing: it has no such stream.
        """
        answer = json.loads(self._wire.request(f"$JS.API.{what}", json.dumps(request).encode()))
        error = answer.get("error")
        if error and error["err_code"] == STREAM_NOT_FOUND:
            raise stream_missing(self._stream)
        if error:
            raise WireError(f"NATS says {error['description']}")
        return answer


def _position(reply: bytes) -> tuple[int, int, int]:
    """Sequence, number of the delivery and time (nanoseconds) out of a message's reply subject.

    `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>`, or with domain and
    account hash before the stream and a random token at the end (ADR-15).
    """
    tokens = reply.split(b".")
    at = 5 if len(tokens) == 9 else 7
    return int(tokens[at]), int(tokens[at + 1]), int(tokens[at + 2])
