"""Reads the dead-letter stream, and the original messages from the log."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fraiseql_assets.events.messages import Messages, header_block, parse_headers
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.stream.dead_letters import HEADER_PREFIX
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.reader import read_range

BATCH_MESSAGES = 500
BATCH_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead-letter message."""

    number: int
    """Its sequence in the dead-letter stream, used as its number in commands."""
    stored: int
    """When the dead-letter stream stored it, in nanoseconds since the epoch."""
    stream: str
    stage: str
    """`decode`, or the name of the plane that refused the event."""
    sequence: int
    row: int
    time: int
    """When the log stored the original message, in nanoseconds since the epoch."""
    subject: str
    headers: dict[str, str]
    payload: bytes
    in_log: bool
    """Only the log has the payload and headers; they were too large to be copied."""
    reason: str

    @property
    def replay_id(self) -> str:
        """The message id for publishing it again. It is the same in every attempt."""
        return f"dead-letter:{self.stream}:{self.number}:{self.stored}"


def read_dead_letters(
    settings: Settings, numbers: Sequence[int] | None = None
) -> Iterator[DeadLetter]:
    """Yields all dead-letter messages, oldest first, or those with the given numbers.

    Raises:
        LogError: NATS cannot be reached, or there is no dead-letter stream or no such message.
    """
    if numbers is None:
        with Log(settings, name="fraiseql-assets dead-letters") as log:
            held = log.bounds_of(settings.dead_letter_stream)
        if held.messages:
            yield from _read(settings, SequenceRange(held.first, held.last))
        return
    for number in sorted(set(numbers)):
        found = list(_read(settings, SequenceRange(number, number)))
        if not found:
            raise LogError(
                f"there is no dead-letter message {number}. "
                "`fraiseql-assets dead-letters list` shows all of them."
            )
        yield from found


def original_message(settings: Settings, dead_letter: DeadLetter) -> Messages:
    """The original message of a dead-letter message, as the log stored it.

    Raises:
        LogError: the message was too large to be copied, and the log no longer holds it.
    """
    if not dead_letter.in_log:
        return Messages(
            [dead_letter.sequence],
            [dead_letter.time],
            [dead_letter.subject],
            [header_block(dead_letter.headers)],
            [dead_letter.payload],
        )
    sequences = SequenceRange(dead_letter.sequence, dead_letter.sequence)
    for messages in read_range(
        settings, dead_letter.stream, sequences, batch_messages=1, batch_bytes=BATCH_BYTES
    ):
        return messages
    raise LogError(
        f"dead-letter message {dead_letter.number} is about message {dead_letter.sequence} of "
        f"{dead_letter.stream}, which was too large to be copied. The log no longer holds it."
    )


def _read(settings: Settings, sequences: SequenceRange) -> Iterator[DeadLetter]:
    """Yields the dead-letter messages of a range; skips other messages in the stream."""
    batches = read_range(
        settings,
        settings.dead_letter_stream,
        sequences,
        batch_messages=BATCH_MESSAGES,
        batch_bytes=BATCH_BYTES,
    )
    for batch in batches:
        columns = (batch.sequences, batch.times, batch.headers, batch.payloads)
        for number, stored, block, payload in zip(*columns, strict=True):
            fields = {
                name.removeprefix(HEADER_PREFIX): value
                for name, value in parse_headers(block).items()
                if name.startswith(HEADER_PREFIX)
            }
            if fields:
                yield _dead_letter(number, stored, fields, payload)


def _dead_letter(number: int, stored: int, fields: dict[str, str], payload: bytes) -> DeadLetter:
    return DeadLetter(
        number=number,
        stored=stored,
        stream=fields["Stream"],
        stage=fields["Stage"],
        sequence=int(fields["Sequence"]),
        row=int(fields["Row"]),
        time=int(fields["Time"]),
        subject=fields["Subject"],
        headers=json.loads(fields["Headers"]),
        payload=payload,
        in_log="Payload" in fields,
        reason=fields["Reason"],
    )
