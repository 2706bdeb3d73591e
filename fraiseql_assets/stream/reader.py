"""Reads a range of the log. Reading leaves no state, so a range can be read many times.

An ephemeral pull consumer without acknowledgements delivers from the range's first sequence. The
next pull is sent while messages of the last one still arrive, and at most two are in flight, so a
slow reader slows only its own pulls. If the connection or the consumer is lost (a restarted server
drops ephemeral consumers), both are recreated at the next sequence.
"""

import json
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from types import TracebackType
from typing import Any, Self

from nats.js.api import StreamConfig

from fraiseql_assets.events.messages import Messages, parse_headers
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import (
    LogUnavailable,
    options_of,
    stream_missing,
    unavailable,
)
from fraiseql_assets.stream.delivery import columns_of
from fraiseql_assets.stream.options import NatsOptions, NatsServer
from fraiseql_assets.stream.requirements import CONSUMER_SECONDS, require_log
from fraiseql_assets.stream.wire import Wire, WireError

PULL_MESSAGES = 5_000
PULL_BYTES = 16 * 2**20
STALL_SECONDS = 5.0
GIVE_UP_SECONDS = 60.0
RETRY_SECONDS = 0.5

CONFLICT = b"NATS/1.0 409"

STREAM_NOT_FOUND = 10059
"""JetStream's error code for a missing stream."""


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
    range gives the same batches each time. Closing the iterator stops the reading.

    Raises:
        StreamMissing: the server has no such stream.
        UnsuitableStream: the stream's configuration is unsuitable for a log.
        LogUnavailable: nothing arrived for a minute although messages remain.
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
    """Yields the messages of the range as they arrive. Reconnects when a connection is lost."""
    options = options_of(settings)
    wanted, attempt, silent_since = sequences.first, 0, time.monotonic()
    while wanted <= sequences.last:
        server = options.servers[attempt % len(options.servers)]
        attempt += 1
        try:
            with _Pull(options, server, stream, SequenceRange(wanted, sequences.last)) as pull:
                for arrival in pull:
                    wanted = arrival.sequences[-1] + 1
                    yield arrival
                    # Time spent by the receiver does not count as silence of the server.
                    silent_since = time.monotonic()
            return
        except (WireError, OSError) as error:
            if time.monotonic() - silent_since > GIVE_UP_SECONDS:
                if wanted == sequences.first:
                    raise unavailable(str(server), error) from error
                raise LogUnavailable(
                    f"NATS delivered nothing of stream {stream} from sequence {wanted} on "
                    f"for {GIVE_UP_SECONDS:.0f} s ({str(error) or type(error).__name__}). "
                    "Check the server; the run may then be retried."
                ) from error
            time.sleep(RETRY_SECONDS)


class _Pull:
    """One connection with one ephemeral consumer, and its pulls.

    Raises, from entering and iterating:
        WireError, OSError: the connection or the consumer is lost, or nothing arrives.
    """

    def __init__(
        self, options: NatsOptions, server: NatsServer, stream: str, sequences: SequenceRange
    ) -> None:
        self._stream, self._sequences = stream, sequences
        self._wire = Wire(options, server, name="fraiseql-assets reader", timeout=STALL_SECONDS)
        self._delivered = self._in_flight = 0

    def __enter__(self) -> Self:
        self._wire.__enter__()
        try:
            self._require_log()
            created = self._ask(
                f"CONSUMER.CREATE.{self._stream}",
                {
                    "stream_name": self._stream,
                    "config": {
                        "deliver_policy": "by_start_sequence",
                        "opt_start_seq": self._sequences.first,
                        "ack_policy": "none",
                        "mem_storage": True,
                        "inactive_threshold": int(CONSUMER_SECONDS * 10**9),
                    },
                },
            )
        except BaseException:
            self._wire.__exit__(None, None, None)
            raise
        self._consumer = created["name"]
        # Deleted messages make the range shorter; `num_pending` counts only existing messages.
        self._unasked = min(created["num_pending"], len(self._sequences))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The server drops an undeleted consumer after a period of inactivity.
        with suppress(WireError, OSError):
            if not isinstance(error, WireError | OSError):
                self._ask(f"CONSUMER.DELETE.{self._stream}.{self._consumer}", {})
        self._wire.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Messages]:
        last = self._sequences.last
        while True:
            self._keep_asking()
            if not self._in_flight:
                return
            frames = self._wire.frames()
            # A message without a reply subject is a status message of the pull.
            messages = [frame for frame in frames if frame[1]]
            for frame in frames if len(messages) < len(frames) else []:
                if not frame[1]:
                    self._handle_status(frame[2])
            if not messages:
                continue
            self._in_flight -= len(messages)
            self._delivered += len(messages)
            arrival, number = columns_of(messages)
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
            # A pull must have room for the largest possible message.
            room = max(PULL_BYTES, 2 * self._wire.max_payload)
            request = {"batch": count, "max_bytes": room, "expires": int(STALL_SECONDS * 10**9)}
            self._wire.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
                json.dumps(request).encode(),
                reply=f"{self._wire.inbox}.pull",
            )
            self._unasked -= count
            self._in_flight += count

    def _handle_status(self, block: bytes) -> None:
        """Handles a pull that ended with fewer messages than requested, or raises an error.

        A pull can end early, for example because the next message would exceed its byte limit. Its
        status 409 then contains the number of remaining messages. Any other status is an error.
        """
        left = parse_headers(block).get("Nats-Pending-Messages")
        if not block.startswith(CONFLICT) or left is None:
            status, _, _ = block.partition(b"\r\n")
            raise WireError(f"the pull ended with {status.decode()}")
        self._in_flight -= int(left)
        self._unasked += int(left)

    def _require_log(self) -> None:
        """Checks the stream first: an unsuitable stream breaks consumers in many different ways."""
        info = self._ask(f"STREAM.INFO.{self._stream}", {})
        require_log(StreamConfig.from_response(info["config"]))

    def _ask(self, what: str, request: dict[str, Any]) -> dict[str, Any]:
        """Sends a request to JetStream's API and returns the response.

        Raises:
            StreamMissing: the server has no such stream.
        """
        answer = json.loads(self._wire.request(f"$JS.API.{what}", json.dumps(request).encode()))
        error = answer.get("error")
        if error and error["err_code"] == STREAM_NOT_FOUND:
            raise stream_missing(self._stream)
        if error:
            raise WireError(f"NATS says {error['description']}")
        return answer
