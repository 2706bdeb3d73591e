"""The dead letters, read and taken back: each is what was filed, with its number."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.events.messages import OWN_ID, Messages, header_block, parse_headers
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, LogUnavailable, connect
from fraiseql_assets.stream.dead_letters import HEADER_PREFIX
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.position import bounds
from fraiseql_assets.stream.publish import publish
from fraiseql_assets.stream.reader import read_range

BATCH_MESSAGES = 500
BATCH_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    number: int
    """Its sequence in the dead-letter stream: how a person names it."""
    filed: int
    """When it was filed, in nanoseconds since the epoch."""
    stream: str
    stage: str
    """`decode`, or the plane that refused the event."""
    sequence: int
    row: int
    time: int
    """When the log stored the message, in nanoseconds since the epoch."""
    subject: str
    headers: dict[str, str]
    payload: bytes
    in_log: bool
    """Payload and headers were too large for a letter and lie in the log alone."""
    reason: str

    @property
    def replay_id(self) -> str:
        """The id under which it is published again: the same in every attempt."""
        return f"dead-letter:{self.stream}:{self.number}:{self.filed}"


def read_letters(settings: Settings, numbers: Sequence[int] | None = None) -> Iterator[Letter]:
    """Yields all letters, oldest first, or those of these numbers.

    Raises:
        LogError: NATS cannot be reached, has no dead-letter stream, or no letter of a number.
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
                f"there is no dead letter {number}. `fraiseql-assets dead-letters list` has them."
            )
        yield from found


def whole(settings: Settings, letter: Letter) -> Messages:
    """The message that a letter is about, as the log held it.

    Raises:
        LogError: it was too large for a letter, and the log no longer holds it.
    """
    if not letter.in_log:
        return Messages(
            [letter.sequence],
            [letter.time],
            [letter.subject],
            [header_block(letter.headers)],
            [letter.payload],
        )
    sequences = SequenceRange(letter.sequence, letter.sequence)
    for messages in read_range(
        settings, letter.stream, sequences, batch_messages=1, batch_bytes=BATCH_BYTES
    ):
        return messages
    raise LogError(
        f"dead letter {letter.number} is about message {letter.sequence} of {letter.stream}, which "
        "was too large for a letter, and which the log no longer holds."
    )


def _read(settings: Settings, sequences: SequenceRange) -> Iterator[Letter]:
    """The letters of a range; what else lies in their stream is left out."""
    batches = read_range(
        settings,
        settings.dead_letter_stream,
        sequences,
        batch_messages=BATCH_MESSAGES,
        batch_bytes=BATCH_BYTES,
    )
    for batch in batches:
        columns = (batch.sequences, batch.times, batch.headers, batch.payloads)
        for number, filed, block, payload in zip(*columns, strict=True):
            said = {
                name.removeprefix(HEADER_PREFIX): value
                for name, value in parse_headers(block).items()
                if name.startswith(HEADER_PREFIX)
            }
            if said:
                yield _letter(number, filed, said, payload)


def _letter(number: int, filed: int, said: dict[str, str], payload: bytes) -> Letter:
    return Letter(
        number=number,
        filed=filed,
        stream=said["Stream"],
        stage=said["Stage"],
        sequence=int(said["Sequence"]),
        row=int(said["Row"]),
        time=int(said["Time"]),
        subject=said["Subject"],
        headers=json.loads(said["Headers"]),
        payload=payload,
        in_log="Payload" in said,
        reason=said["Reason"],
    )


async def publish_again(settings: Settings, letters: Sequence[Letter]) -> None:
    """Publishes the letters' messages once more, as they were, and takes the letters back.

    A note in the dead-letter stream says where the log ended before. Whoever finds the note after a
    crash looks there for what was published already, so each message is published again once.

    Raises:
        LogError: NATS cannot be reached, no longer captures a subject, or has forgotten a message.
    """
    async with connect(settings, name="fraiseql-assets dead-letters", reconnect_seconds=30) as nats:
        note = f"{settings.dead_letter_stream}.replay"
        jetstream = nats.jetstream(timeout=10.0)
        try:
            left = await jetstream.get_last_msg(settings.dead_letter_stream, note)
        except NotFoundError:
            end = (await bounds(nats, settings.stream)).last
            await jetstream.publish(note, b"%d" % end)
            done: set[str] = set()
        else:
            done = await asyncio.to_thread(_published_since, settings, int(left.data or b"0"))
        for start in range(0, len(letters), BATCH_MESSAGES):
            part = letters[start : start + BATCH_MESSAGES]
            await publish(nats, [_again(settings, e) for e in part if e.replay_id not in done])
            await take_back(nats, settings, part)
        await jetstream.purge_stream(settings.dead_letter_stream, subject=note)


def _again(settings: Settings, letter: Letter) -> Outgoing:
    message = whole(settings, letter)
    headers = parse_headers(message.headers[0])
    if "Nats-Msg-Id" in headers:
        headers.setdefault(OWN_ID, headers["Nats-Msg-Id"])
    headers["Nats-Msg-Id"] = letter.replay_id
    return Outgoing(letter.subject, message.payloads[0], headers)


def _published_since(settings: Settings, end: int) -> set[str]:
    """The message ids of what the log has taken after a sequence."""
    with Log(settings, name="fraiseql-assets dead-letters") as log:
        last = log.bounds().last
    if last <= end:
        return set()
    sequences = SequenceRange(end + 1, last)
    batches = read_range(
        settings, settings.stream, sequences, batch_messages=BATCH_MESSAGES, batch_bytes=BATCH_BYTES
    )
    blocks = (block for batch in batches for block in batch.headers if b"dead-letter:" in block)
    return {parse_headers(block).get("Nats-Msg-Id", "") for block in blocks}


async def take_back(client: Client, settings: Settings, letters: Sequence[Letter]) -> None:
    """Removes letters that have been dealt with; one that is gone already is fine."""
    jetstream = client.jetstream(timeout=10.0)

    async def remove(letter: Letter) -> None:
        try:
            await jetstream.delete_msg(settings.dead_letter_stream, letter.number)
        except NotFoundError:
            pass
        except (NatsError, TimeoutError, OSError) as error:
            raise LogUnavailable(f"NATS does not remove a dead letter: {error}") from error

    await asyncio.gather(*map(remove, letters))
