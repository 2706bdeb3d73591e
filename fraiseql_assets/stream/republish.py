"""Publishes dead-letter messages again, and removes those that have been processed."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError, ServerError

from fraiseql_assets.datasets import DATASETS, EVENTS, Dataset, dataset_of
from fraiseql_assets.events.encode import Headers, Outgoing
from fraiseql_assets.events.messages import OWN_ID, message_id, parse_headers
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, LogUnavailable, connect
from fraiseql_assets.stream.dead_letter_reader import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    DeadLetter,
    original_message,
)
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_one
from fraiseql_assets.stream.reader import read_range


@dataclass(frozen=True, slots=True)
class Failure:
    """A dead-letter message that could not be replayed. It stays in the dead-letter stream."""

    number: int
    reason: str


async def republish(settings: Settings, dead_letters: Sequence[DeadLetter]) -> list[Failure]:
    """Publishes the original messages again. Returns those that failed.

    Each dead-letter message is removed as soon as its original is acknowledged, independent of the
    others. A note in the dead-letter stream records, for each dataset, the end of its log before
    the replay. After a crash, the next attempt finds the note, reads the log from there and skips
    messages that were already published.

    Raises:
        LogUnavailable: NATS cannot be reached or stopped answering.
        StreamMissing: there is no log, or no dead-letter stream.
    """
    failures: list[Failure] = []
    async with connect(settings, name="fraiseql-assets dead-letters", reconnect_seconds=30) as nats:
        for dataset in DATASETS.values():
            own = [each for each in dead_letters if dataset_of(each.stream, settings) is dataset]
            if own:
                failures += await _republish_all(nats, settings, dataset, own)
    return failures


async def _republish_all(
    nats: Client, settings: Settings, dataset: Dataset, dead_letters: Sequence[DeadLetter]
) -> list[Failure]:
    """Publishes the messages of one dataset. Returns those that failed."""
    failures: list[Failure] = []
    note = _note(settings, dataset)
    jetstream = nats.jetstream(timeout=10.0)
    try:
        left = await jetstream.get_last_msg(settings.dead_letter_stream, note)
    except NotFoundError:
        end = await asyncio.to_thread(_end_of_log, settings, dataset)
        await jetstream.publish(note, b"%d" % end)
        done: set[str] = set()
    else:
        start = int(left.data or b"0")
        done = await asyncio.to_thread(_published_since, settings, dataset, start)
    for group in _groups(dead_letters):
        work = (_republish_one(nats, settings, each, done) for each in group)
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
            if result:
                failures.append(result)
    await jetstream.purge_stream(settings.dead_letter_stream, subject=note)
    return failures


def _note(settings: Settings, dataset: Dataset) -> str:
    """The subject of the note on a dataset's log."""
    note = f"{settings.dead_letter_stream}.replay"
    # A note without a dataset name is for events; the first releases wrote it so.
    return note if dataset is EVENTS else f"{note}.{dataset.name}"


def _groups(dead_letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Yields groups of messages that may await acknowledgement at the same time."""
    group: list[DeadLetter] = []
    size = 0
    for dead_letter in dead_letters:
        group.append(dead_letter)
        size += BATCH_BYTES if dead_letter.in_log else len(dead_letter.payload)
        if len(group) >= BATCH_MESSAGES or size >= BATCH_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


async def _republish_one(
    nats: Client, settings: Settings, dead_letter: DeadLetter, done: set[str]
) -> Failure | None:
    if dead_letter.replay_id not in done:
        try:
            message = await asyncio.to_thread(_again, settings, dead_letter)
            await publish_one(nats, message)
        except LogUnavailable:
            raise
        except LogError as error:
            return Failure(dead_letter.number, str(error))
    await remove_dead_letter(nats.jetstream(timeout=10.0), settings, dead_letter)
    return None


def _again(settings: Settings, dead_letter: DeadLetter) -> Outgoing:
    message = original_message(settings, dead_letter)
    headers = _headers_again(message.headers[0], dead_letter.replay_id)
    return Outgoing(dead_letter.subject, message.payloads[0], headers)


def _headers_again(block: bytes, replay_id: str) -> Headers:
    """The headers without those that control the server, such as `Nats-Rollup`.

    The producer's message id is kept under another name, since it identifies the event.
    """
    headers = {
        name: value
        for name, value in parse_headers(block).items()
        if not name.lower().startswith("nats-")
    }
    own_id = message_id(block)
    if own_id:
        headers[OWN_ID] = own_id
    return {**headers, "Nats-Msg-Id": replay_id}


def _end_of_log(settings: Settings, dataset: Dataset) -> int:
    with Log(settings, name="fraiseql-assets dead-letters", dataset=dataset) as log:
        return log.bounds().last


def _published_since(settings: Settings, dataset: Dataset, end: int) -> set[str]:
    """The ids of the messages that a dataset's log stored after a sequence."""
    last = _end_of_log(settings, dataset)
    if last <= end:
        return set()
    sequences = SequenceRange(end + 1, last)
    batches = read_range(
        settings,
        dataset.stream(settings),
        sequences,
        batch_messages=BATCH_MESSAGES,
        batch_bytes=BATCH_BYTES,
    )
    blocks = (block for batch in batches for block in batch.headers if b"dead-letter:" in block)
    return {parse_headers(block).get("Nats-Msg-Id", "") for block in blocks}


async def remove_dead_letter(
    jetstream: JetStreamContext, settings: Settings, dead_letter: DeadLetter
) -> None:
    """Removes a dead-letter message. It is no error if it has already been removed.

    Raises:
        LogUnavailable: the server did not acknowledge the removal.
    """
    stream, number = settings.dead_letter_stream, dead_letter.number
    try:
        try:
            await jetstream.delete_msg(stream, number)
        except ServerError:
            # The server reports a missing message and a failed deletion with the same error.
            await jetstream.get_msg(stream, number)
            raise
    except NotFoundError:
        pass
    except (NatsError, TimeoutError, OSError) as error:
        raise LogUnavailable(
            f"NATS does not remove dead-letter message {number}: {error}"
        ) from error
