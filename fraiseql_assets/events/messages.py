"""What goes into decoding and what comes out of it: messages as columns, batches, rejects."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Messages:
    """Consecutive messages of a JetStream stream, as columns of equal length, in sequence order."""

    sequences: list[int]
    times: list[int]
    """JetStream's time of storage, in nanoseconds since the epoch."""
    subjects: list[str]
    headers: list[dict[str, str] | None]
    payloads: list[bytes]

    def __len__(self) -> int:
        return len(self.sequences)

    def slice(self, start: int, stop: int) -> "Messages":
        """The messages from `start` up to `stop`."""
        span = slice(start, stop)
        return Messages(
            self.sequences[span],
            self.times[span],
            self.subjects[span],
            self.headers[span],
            self.payloads[span],
        )

    def take(self, numbers: list[int]) -> "Messages":
        """The messages at these places."""
        return Messages(
            [self.sequences[n] for n in numbers],
            [self.times[n] for n in numbers],
            [self.subjects[n] for n in numbers],
            [self.headers[n] for n in numbers],
            [self.payloads[n] for n in numbers],
        )

    def reject(self, number: int, reason: str) -> "Reject":
        """One of the messages as a reject."""
        return Reject(
            self.sequences[number],
            self.times[number],
            self.subjects[number],
            self.headers[number],
            self.payloads[number],
            reason,
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """A message (or one row of an Arrow-batch message) that cannot become an event, and why."""

    sequence: int
    time: int
    subject: str
    headers: dict[str, str] | None
    payload: bytes
    reason: str
    row: int = 0
    """The row inside an Arrow-batch message that a plane refused; 0 otherwise."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The events of some messages, in stream order, and the messages that gave none."""

    batches: list[pa.RecordBatch]
    """Record batches in `EVENT_SCHEMA`, none of them empty."""
    rejects: list[Reject]

    @property
    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches)
