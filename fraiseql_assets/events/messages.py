"""The input and output of decoding: messages as columns, record batches, rejects."""

from dataclasses import dataclass, field

import pyarrow as pa

NO_HEADERS = b""

OWN_ID = "Fraiseql-Msg-Id"
"""The `Nats-Msg-Id` of a message before it was published again under another id."""


def parse_headers(block: bytes) -> dict[str, str]:
    """The headers of a NATS header block by name; none for an empty block."""
    headers: dict[str, str] = {}
    # The first line is the version; the last two are empty.
    for line in block.decode(errors="replace").split("\r\n")[1:-2]:
        name, _, value = line.partition(":")
        headers[name] = value.strip()
    return headers


def header(block: bytes, name: str) -> str | None:
    """One header of a block. Names are compared without case."""
    wanted = name.lower()
    for found, value in parse_headers(block).items():
        if found.lower() == wanted:
            return value
    return None


def message_id(block: bytes) -> str | None:
    """The deduplication id that the producer gave a message."""
    return header(block, OWN_ID) or header(block, "Nats-Msg-Id")


def header_block(headers: dict[str, str] | None) -> bytes:
    """The NATS header block of some headers, empty for none."""
    if not headers:
        return NO_HEADERS
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Messages:
    """Consecutive messages of a JetStream stream, as columns of equal length, in sequence order."""

    sequences: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    """JetStream's time of storage, in nanoseconds since the epoch."""
    subjects: list[str] = field(default_factory=list)
    headers: list[bytes] = field(default_factory=list)
    """The header blocks as NATS sent them; `parse_headers` parses one."""
    payloads: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sequences)

    def slice(self, start: int, stop: int) -> "Messages":
        """The messages from `start` up to `stop`."""
        part = slice(start, stop)
        return Messages(
            self.sequences[part],
            self.times[part],
            self.subjects[part],
            self.headers[part],
            self.payloads[part],
        )

    def extend(self, more: "Messages") -> None:
        """Appends the messages that follow."""
        self.sequences.extend(more.sequences)
        self.times.extend(more.times)
        self.subjects.extend(more.subjects)
        self.headers.extend(more.headers)
        self.payloads.extend(more.payloads)

    def reject(self, number: int, reason: str) -> "Reject":
        """One of the messages as a reject."""
        return Reject(
            self.sequences[number],
            self.times[number],
            self.subjects[number],
            parse_headers(self.headers[number]) or None,
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
    """Decoded events, in stream order, and the rejected messages."""

    batches: list[pa.RecordBatch]
    """Record batches in `EVENT_SCHEMA`, none of them empty."""
    rejects: list[Reject]

    @property
    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches)
