"""Publishing dead-letter messages again, and removing those that have been dealt with."""

import asyncio
from collections.abc import Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.events.messages import OWN_ID, parse_headers
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogUnavailable, connect
from fraiseql_assets.stream.dead_letter_reader import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    DeadLetter,
    original_message,
)
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish
from fraiseql_assets.stream.reader import read_range


async def republish(settings: Settings, dead_letters: Sequence[DeadLetter]) -> None:
    """Publishes the original messages again and removes the dead-letter messages.

    A note in the dead-letter stream records where the log ended before. A later attempt that finds
    the note after a crash reads the log from there, and skips what was already published.

    Raises:
        LogError: NATS cannot be reached, no longer captures a subject, or lost a message.
    """
    async with connect(settings, name="fraiseql-assets dead-letters", reconnect_seconds=30) as nats:
        note = f"{settings.dead_letter_stream}.replay"
        jetstream = nats.jetstream(timeout=10.0)
        try:
            left = await jetstream.get_last_msg(settings.dead_letter_stream, note)
        except NotFoundError:
            end = await asyncio.to_thread(_end_of_log, settings)
            await jetstream.publish(note, b"%d" % end)
            done: set[str] = set()
        else:
            done = await asyncio.to_thread(_published_since, settings, int(left.data or b"0"))
        for start in range(0, len(dead_letters), BATCH_MESSAGES):
            part = dead_letters[start : start + BATCH_MESSAGES]
            await publish(nats, [_again(settings, e) for e in part if e.replay_id not in done])
            await remove_dead_letters(nats, settings, part)
        await jetstream.purge_stream(settings.dead_letter_stream, subject=note)


def _again(settings: Settings, dead_letter: DeadLetter) -> Outgoing:
    message = original_message(settings, dead_letter)
    headers = parse_headers(message.headers[0])
    if "Nats-Msg-Id" in headers:
        headers.setdefault(OWN_ID, headers["Nats-Msg-Id"])
    headers["Nats-Msg-Id"] = dead_letter.replay_id
    return Outgoing(dead_letter.subject, message.payloads[0], headers)


def _end_of_log(settings: Settings) -> int:
    with Log(settings, name="fraiseql-assets dead-letters") as log:
        return log.bounds().last


def _published_since(settings: Settings, end: int) -> set[str]:
    """The message ids of what the log has taken after a sequence."""
    last = _end_of_log(settings)
    if last <= end:
        return set()
    sequences = SequenceRange(end + 1, last)
    batches = read_range(
        settings, settings.stream, sequences, batch_messages=BATCH_MESSAGES, batch_bytes=BATCH_BYTES
    )
    blocks = (block for batch in batches for block in batch.headers if b"dead-letter:" in block)
    return {parse_headers(block).get("Nats-Msg-Id", "") for block in blocks}


async def remove_dead_letters(
    client: Client, settings: Settings, dead_letters: Sequence[DeadLetter]
) -> None:
    """Removes dead-letter messages; one that is gone already is no error."""
    jetstream = client.jetstream(timeout=10.0)

    async def remove(dead_letter: DeadLetter) -> None:
        try:
            await jetstream.delete_msg(settings.dead_letter_stream, dead_letter.number)
        except NotFoundError:
            pass
        except (NatsError, TimeoutError, OSError) as error:
            raise LogUnavailable(f"NATS does not remove a dead-letter message: {error}") from error

    await asyncio.gather(*map(remove, dead_letters))
