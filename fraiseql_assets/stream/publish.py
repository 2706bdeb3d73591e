"""Publishes with acknowledgement: a message is published once the log has stored it."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from fraiseql_assets.events.encode import (
    Outgoing,
    arrow_messages,
    cdc_messages,
    observer_messages,
)
from fraiseql_assets.events.generate import generate
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, LogUnavailable, StreamMissing, connect

WINDOW = 1_000
WINDOW_BYTES = 8 * 2**20
"""The most messages, and bytes of messages, that await acknowledgement at a time."""
ACK_SECONDS = 10.0
LOOK_SECONDS = 2.0
ELECTION_SECONDS = 60.0
ELECTION_PAUSE_SECONDS = 0.5
TRIES = 5
CDC_SUBJECT = "fraiseql.{tenant_id}.{table}"
NO_TENANT = "._none_.*"

Progress = Callable[[int], None]


@dataclass(slots=True)
class Published:
    """What was stored."""

    messages: int = 0
    events: int = 0
    duplicates: int = 0
    """Messages that the log recognised by their `Nats-Msg-Id` and did not store again."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What the log says of a message that it has."""

    sequence: int
    is_duplicate: bool
    """Whether the log had it before, under its `Nats-Msg-Id`, and did not store it again."""


async def publish(
    client: Client,
    messages: Iterable[Outgoing],
    *,
    rate: float | None = None,
    on_progress: Progress | None = None,
) -> Published:
    """Publishes messages and waits for every acknowledgement.

    A message without an acknowledgement is sent again under the same `Nats-Msg-Id`, so it is stored
    once. `rate` limits the events per second.

    Raises:
        StreamMissing: no stream captures the subject.
        LogUnavailable: the server stopped acknowledging.
        LogError: the server refuses a message, for example because it is too large.
    """
    published, started = Published(), time.monotonic()
    waiting: list[asyncio.Task[Stored]] = []
    size = 0
    for message in messages:
        if rate:
            next_at = started + published.events / rate
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        waiting.append(asyncio.ensure_future(publish_one(client, message)))
        published.messages += 1
        published.events += message.events
        size += len(message.payload)
        if len(waiting) >= (1 if rate and rate < WINDOW else WINDOW) or size >= WINDOW_BYTES:
            published.duplicates += _duplicates(await asyncio.gather(*waiting))
            waiting.clear()
            size = 0
            if on_progress:
                on_progress(published.events)
    published.duplicates += _duplicates(await asyncio.gather(*waiting))
    published.seconds = time.monotonic() - started
    if on_progress:
        on_progress(published.events)
    return published


async def publish_one(client: Client, message: Outgoing) -> Stored:
    """Publishes one message, and waits for its acknowledgement.

    Raises:
        StreamMissing, LogUnavailable, LogError: as for `publish`.
    """
    jetstream = client.jetstream(timeout=ACK_SECONDS)
    attempt, elected_by = 0, time.monotonic() + ELECTION_SECONDS
    while True:
        attempt += 1
        try:
            ack = await jetstream.publish(
                message.subject, message.payload, headers=message.headers or None
            )
            return Stored(ack.seq, bool(ack.duplicate) and attempt == 1)
        except MaxPayloadError as error:
            raise LogError(
                f"a message on {message.subject} has {len(message.payload):,} bytes; the server "
                f"takes {client.max_payload:,}. Raise max_payload in the NATS configuration."
            ) from error
        except NoStreamResponseError as error:
            if not await _may_be_captured(client, message.subject):
                raise StreamMissing(
                    f"no stream captures {message.subject}. Run `fraiseql-assets setup`, and check "
                    "that FRAISEQL_SUBJECTS covers it."
                ) from error
            # While a cluster elects the stream's leader, nobody responds either.
            if time.monotonic() > elected_by:
                raise LogUnavailable(
                    f"no server of NATS stores messages on {message.subject}: has the stream's "
                    "cluster a leader?"
                ) from error
            await asyncio.sleep(ELECTION_PAUSE_SECONDS)
        except APIError as error:
            raise LogError(f"NATS refuses a message: {error.description}") from error
        except (NatsTimeoutError, NatsError, OSError) as error:
            if attempt >= TRIES:
                raise LogUnavailable(f"NATS stopped acknowledging: {error}") from error
            await asyncio.sleep(0.2 * 2**attempt)


async def _may_be_captured(client: Client, subject: str) -> bool:
    """Whether a stream captures the subject. True also if the server does not say."""
    try:
        await client.jetstream(timeout=LOOK_SECONDS).find_stream_name_by_subject(subject)
    except NotFoundError:
        return False
    except (APIError, NatsError, OSError):
        return True
    return True


def _duplicates(stored: Iterable[Stored]) -> int:
    return sum(one.is_duplicate for one in stored)


async def publish_generated(
    settings: Settings,
    *,
    count: int,
    shape: str,
    rate: float | None = None,
    seed: int | None = None,
    on_progress: Progress | None = None,
) -> Published:
    """Publishes realistic events in one of the shapes `observer`, `cdc` or `arrow`.

    Raises:
        LogError: as for `publish`, and when the server cannot be reached.
    """
    chosen = random.SystemRandom().randrange(2**63) if seed is None else seed
    async with connect(settings, name="fraiseql-assets publish", reconnect_seconds=30) as client:
        batches = generate(count, seed=chosen)
        messages = _encode(batches, shape, settings, client.max_payload)
        return await publish(client, messages, rate=rate, on_progress=on_progress)


def cdc_subject(settings: Settings) -> str:
    """The template of the CDC subjects that the stream captures."""
    for subject in settings.subjects:
        if subject.endswith(NO_TENANT):
            return f"{subject.removesuffix(NO_TENANT)}.{{tenant_id}}.{{table}}"
    return CDC_SUBJECT


def _encode(
    batches: Iterable[pa.RecordBatch], shape: str, settings: Settings, max_payload: int
) -> Iterator[Outgoing]:
    prefix = settings.subject_prefix
    for batch in batches:
        if shape == "arrow":
            yield from arrow_messages(batch, f"{prefix}.Batch.ARROW", max_payload=max_payload)
        elif shape == "cdc":
            yield from cdc_messages(batch, cdc_subject(settings))
        else:
            yield from observer_messages(batch, prefix)
