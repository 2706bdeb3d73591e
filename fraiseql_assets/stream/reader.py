"""Reading an explicit range of the log, statelessly: it can be read any number of times.

An ephemeral pull consumer without acknowledgements delivers from the range's first sequence. Each
pull asks for a window of messages and the next is sent while the last still arrives, so that the
server never has more than two windows in flight; a slow reader slows only its own pulls. When the
connection or the consumer is lost (a restarted server forgets ephemeral ones), both are made anew
at the next sequence wanted.
"""

import json
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from types import TracebackType
from typing import Any, Self

from fraiseql_assets.events.messages import Messages, parse_headers
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import (
    LogUnavailable,
    public_address,
    servers_of,
    stream_missing,
    unavailable,
)
from fraiseql_assets.stream.wire import Frame, Wire, WireError

PULL_MESSAGES = 5_000
PULL_BYTES = 16 * 2**20
STALL_SECONDS = 5.0
GIVE_UP_SECONDS = 60.0
RETRY_SECONDS = 0.5

STREAM_NOT_FOUND = 10059
"""JetStream's error code for a stream that is not there."""


def read_range(
    settings: Settings,
    stream: str,
    sequences: SequenceRange,
    *,
    batch_messages: int,
    batch_bytes: int,
) -> Iterator[Messages]:
    """Yields every message of the range that the log still holds, in order, as batches.

    A batch ends at `batch_messages` messages or once it holds `batch_bytes` of payload, so the same
    range gives the same batches each time. Closing the iterator ends the reading.

    Raises:
        StreamMissing: the server has no such stream.
        LogUnavailable: nothing arrived for a minute though more should have.
    """
    batch, size = Messages(), 0
    for arrival in _deliver(settings, stream, sequences):
        ends = list(accumulate(map(len, arrival.payloads)))
        start = before = 0
        while start < len(arrival):
            filling = bisect_left(ends, before + batch_bytes - size, lo=start) + 1
            stop = min(start + batch_messages - len(batch), filling, len(arrival))
            batch.extend(arrival.slice(start, stop))
            size += ends[stop - 1] - before
            start, before = stop, ends[stop - 1]
            if len(batch) >= batch_messages or size >= batch_bytes:
                yield batch
                batch, size = Messages(), 0
    if len(batch):
        yield batch


def _deliver(settings: Settings, stream: str, sequences: SequenceRange) -> Iterator[Messages]:
    """The range's messages as they arrive, over as many connections as it takes."""
    servers = servers_of(settings)
    wanted, attempt, silent_since = sequences.first, 0, time.monotonic()
    while wanted <= sequences.last:
        server = servers[attempt % len(servers)]
        attempt += 1
        try:
            with _Pull(server, stream, SequenceRange(wanted, sequences.last)) as pull:
                for arrival in pull:
                    wanted = arrival.sequences[-1] + 1
                    yield arrival
                    # However long it took to use the message, the server was not to blame.
                    silent_since = time.monotonic()
            return
        except (WireError, OSError) as error:
            if time.monotonic() - silent_since > GIVE_UP_SECONDS:
                if wanted == sequences.first:
                    raise unavailable(public_address(server), error) from error
                raise LogUnavailable(
                    f"NATS delivered nothing of stream {stream} from sequence {wanted} on "
                    f"for {GIVE_UP_SECONDS:.0f} s ({str(error) or type(error).__name__}). "
                    "Check the server; the run may then be retried."
                ) from error
            time.sleep(RETRY_SECONDS)


class _Pull:
    """One connection with one ephemeral consumer, and its pulls.

    Raises, from entering and iterating:
        WireError, OSError: the connection or the consumer is lost, or delivers nothing.
    """

    def __init__(self, server: str, stream: str, sequences: SequenceRange) -> None:
        self._stream, self._span = stream, sequences
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

    def __iter__(self) -> Iterator[Messages]:
        last = self._span.last
        while True:
            self._keep_asking()
            if not self._in_flight:
                return
            frames = self._wire.frames()
            # A message without a reply is the server's word on a pull.
            messages = [frame for frame in frames if frame[1]]
            for frame in frames if len(messages) < len(frames) else []:
                if not frame[1]:
                    self._handle_status(frame[2])
            if not messages:
                continue
            self._in_flight -= len(messages)
            self._delivered += len(messages)
            arrival, number = _columns(messages)
            if number != self._delivered:
                raise WireError(f"the consumer went from message {self._delivered} to {number}")
            if arrival.sequences[-1] >= last:
                arrival = arrival.slice(0, bisect_right(arrival.sequences, last))
                if len(arrival):
                    yield arrival
                return
            yield arrival

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

    def _handle_status(self, headers: bytes) -> None:
        """A pull is over, or it failed."""
        status, _, _ = headers.partition(b"\r\n")
        if not (b"Batch Completed" in status or b"Exceeds MaxBytes" in status):
            raise WireError(f"the pull ended with {status.decode()}")
        left = int(parse_headers(headers).get("Nats-Pending-Messages", 0))
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


def _columns(frames: list[Frame]) -> tuple[Messages, int]:
    """Delivered messages as columns, and the number of the last delivery.

    Their replies say where they lie:
    `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>`, or with domain and
    account hash before the stream and a random token at the end (ADR-15).
    """
    subjects, replies, headers, payloads = zip(*frames, strict=True)
    places = [reply.split(b".") for reply in replies]
    at = 5 if len(places[0]) == 9 else 7
    messages = Messages(
        [int(place[at]) for place in places],
        [int(place[at + 2]) for place in places],
        [subject.decode(errors="replace") for subject in subjects],
        list(headers),
        list(payloads),
    )
    return messages, int(places[-1][at + 1])
