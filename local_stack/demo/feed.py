# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Publishes the shop's events: the last days at once, then live events.

One hour of the demo contains one day of TPC-H. The feed's position is in a key-value bucket beside
the log, so both are deleted together. A restarted feed continues from its position. A feed that was
killed publishes its last few events again with the same ids, and the planes count them once.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError, BucketNotFoundError, KeyNotFoundError
from nats.js.kv import KeyValue

from fraiseql_assets.events.encode import (
    Outgoing,
    arrow_messages,
    cdc_messages,
    observer_messages,
)
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogUnavailable, connect
from fraiseql_assets.stream.publish import cdc_subject, publish
from local_stack.demo import DemoError
from local_stack.demo.history import History
from local_stack.demo.shop import NOW, moments

logger = logging.getLogger(__name__)

PAST_DAYS = 72
"""Days of TPC-H in the demo's history: three days of the demo."""
DAYS_PER_DAY = 24
CHUNK_EVENTS = 10_000
OBSERVER_EVENTS, CDC_EVENTS = 700, 300
"""Events per chunk of the history in these JSON shapes. The rest are Arrow batches."""
KEY = "position"


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a feed."""

    scale: float
    seed: int
    began: int
    """The time at which the feed began, in microseconds. It corresponds to the shop's present."""
    next: int
    """The number of the next event to publish."""


def bucket(settings: Settings) -> str:
    """The key-value bucket with the feed's position."""
    return f"{settings.stream}_demo"


def timestamps(shop_moments: pa.Array, began: int) -> pa.Array:
    """Converts times of the shop to the demo's clock."""
    ago = pc.divide(pc.subtract(NOW, shop_moments), DAYS_PER_DAY)
    return moments(pc.subtract(began, ago))


async def run(
    settings: Settings,
    history: History,
    *,
    scale: float,
    rate: float,
    stop: asyncio.Event,
) -> Position:
    """Publishes the rest of the history, then `rate` events per second until `stop`.

    Returns the final position.

    Raises:
        LogError: the log cannot be reached, or refuses a message.
        DemoError: the log has a demo of another scale or seed.
    """
    async with connect(settings, name="fraiseql demo", reconnect_seconds=60) as client:
        try:
            store = await _store(client, bucket(settings))
            start = Position(scale, history.shop.seed, _now(), history.last_days(PAST_DAYS))
            position = await _restored(store, start)
            feed = _Feed(client, store, settings.subject_prefix, cdc_subject(settings), history)
            position = await feed.past(position, stop)
            return await feed.live(position, rate, stop)
        except (NatsError, OSError) as error:
            raise LogUnavailable(f"NATS lost the demo's feed: {error}") from error


@dataclass(frozen=True, slots=True)
class _Feed:
    client: Client
    store: KeyValue
    prefix: str
    cdc: str
    history: History

    async def past(self, position: Position, stop: asyncio.Event) -> Position:
        """Publishes all events before the present."""
        present, started = self.history.present, time.monotonic()
        total = present - position.next
        while position.next < present and not stop.is_set():
            end = min(position.next + CHUNK_EVENTS, present)
            shop_moments = self.history.moments(position.next, end)
            batch = self.history.batch(position.next, end, timestamps(shop_moments, position.began))
            await publish(self.client, self._in_all_shapes(batch))
            position = await self._reached(position, end)
            logger.info("the last days: %s events left", f"{present - end:,}")
        if total > 0 and position.next == present:
            self.history.release()
            seconds = time.monotonic() - started
            logger.info("the last days are published: %s events in %.1f s", f"{total:,}", seconds)
        return position

    async def live(self, position: Position, rate: float, stop: asyncio.Event) -> Position:
        """Publishes `rate` events per second, with the current time."""
        events = max(1, round(rate))
        pause = events / rate
        if not stop.is_set():
            logger.info("from now on %g events per second", rate)
        minute, told = time.monotonic(), 0
        due, last = minute + pause, _now()
        while not await _stopped(stop, due - time.monotonic()):
            due = max(due + pause, time.monotonic())
            end, now = position.next + events, _now()
            # A feed that is late does not catch up.
            gap = min(int(pause * 1_000_000), now - last) // events
            last = now
            times = moments(pa.array([now - gap * left for left in reversed(range(events))]))
            batch = self.history.batch(position.next, end, times)
            await publish(self.client, observer_messages(batch, self.prefix))
            position, told = await self._reached(position, end), told + events
            # A few events are everywhere in the files, and would soon have all of them in memory.
            self.history.release()
            if time.monotonic() - minute >= 60:
                logger.info("%s events in the last minute", f"{told:,}")
                minute, told = time.monotonic(), 0
        return position

    def _in_all_shapes(self, batch: pa.RecordBatch) -> Iterator[Outgoing]:
        arrow = max(0, batch.num_rows - OBSERVER_EVENTS - CDC_EVENTS)
        yield from arrow_messages(
            batch.slice(0, arrow),
            f"{self.prefix}.Batch.ARROW",
            max_payload=self.client.max_payload,
        )
        yield from observer_messages(batch.slice(arrow, OBSERVER_EVENTS), self.prefix)
        yield from cdc_messages(batch.slice(arrow + OBSERVER_EVENTS), self.cdc)

    async def _reached(self, position: Position, end: int) -> Position:
        position = replace(position, next=end)
        await self.store.put(KEY, msgspec.json.encode(position))
        return position


async def _store(client: Client, name: str) -> KeyValue:
    jetstream = client.jetstream()
    try:
        return await jetstream.key_value(name)
    except BucketNotFoundError:
        try:
            return await jetstream.create_key_value(bucket=name, history=1)
        except APIError as error:
            raise DemoError(f"NATS makes no bucket {name}: {error.description}") from error


async def _restored(store: KeyValue, start: Position) -> Position:
    """The position of an earlier feed. Otherwise stores `start` before anything is published."""
    try:
        entry = await store.get(KEY)
    except KeyNotFoundError:
        await store.put(KEY, msgspec.json.encode(start))
        return start
    position = msgspec.json.decode(entry.value or b"", type=Position)
    if (position.scale, position.seed) != (start.scale, start.seed):
        raise DemoError(
            f"the log holds the demo of scale {position.scale:g} and seed {position.seed}, and not "
            f"of scale {start.scale:g} and seed {start.seed}. Use those, or another data folder."
        )
    return position


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Waits for the stop, at most `seconds`. Returns whether it came."""
    try:
        await asyncio.wait_for(stop.wait(), max(0.001, seconds))
    except TimeoutError:
        return False
    return True


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000)
