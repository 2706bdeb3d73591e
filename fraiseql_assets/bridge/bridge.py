"""Publishes the rows of a change log as events, each once. The bridge reads a page of rows,
publishes it with acknowledgement, and saves the position. If a bridge ends in between, the next one
reads from the log which events of that page were published, and publishes the others.
"""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime

from nats.aio.client import Client

from fraiseql_assets.bridge.change_log import RECENT_NUMBERS, ChangeLog, Page, open_change_log
from fraiseql_assets.bridge.errors import BridgeError, DatabaseUnavailable, PositionTaken
from fraiseql_assets.bridge.gaps import LARGEST, Activity, GapTracker
from fraiseql_assets.bridge.position import Position
from fraiseql_assets.bridge.positions import (
    Positions,
    check_log,
    last_sequence,
    open_positions,
)
from fraiseql_assets.bridge.recovery import published_since
from fraiseql_assets.bridge.rows import event_id, message_of
from fraiseql_assets.bridge.start import Start
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogUnavailable, StreamMissing, connect
from fraiseql_assets.stream.publish import publish

logger = logging.getLogger(__name__)

PAGE_BYTES = 8 * 2**20
"""Bytes of the rows that are published together, as PostgreSQL stores them."""
MOST_GAPS = 10_000
"""With more gaps than this, the bridge waits until their transactions end."""
RECONNECT_SECONDS = 10
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
REPORT_SECONDS = 10.0


class Bridge:
    """Publishes one change log. Runs until it is stopped, or until it has caught up."""

    def __init__(self, settings: Settings, *, start: Start, once: bool = False) -> None:
        self._settings, self._start, self._once = settings, start, once
        self._wake, self._stop = asyncio.Event(), asyncio.Event()
        self._reported_at = time.monotonic()
        self._reported = 0
        self._failures = 0

    def stop(self) -> None:
        """Ends the bridge after the page that it is publishing."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> None:
        """Runs the bridge. Connections to servers that do not answer are retried.

        Raises:
            BridgeError, LogError: somebody has to act.
        """
        while not self._stop.is_set():
            try:
                await self._session()
                return
            except PositionTaken as error:
                logger.warning("%s; going on from there", error)
            except (DatabaseUnavailable, LogUnavailable) as error:
                if self._once:
                    raise
                # The first failure is logged, then one at intervals.
                if self._failures % 10 == 0:
                    logger.warning("%s Trying again.", error)
                self._failures += 1
            # A notification that came before the failure does not shorten the delay.
            self._wake.clear()
            if not self._stop.is_set():
                await self._pause(RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)])

    async def _session(self) -> None:
        """Publishes over one connection to each server."""
        settings = self._settings
        async with (
            open_change_log(settings) as log,
            connect(
                settings, name="fraiseql-assets bridge", reconnect_seconds=RECONNECT_SECONDS
            ) as client,
        ):
            if not await self._claimed(log):
                return
            publisher = await _Publisher.begin(log, client, settings, self._start)
            await log.listen(settings.bridge_channel, self._wake.set)
            self._report_progress(publisher, always=True)
            self._failures = 0
            while not self._stop.is_set():
                self._wake.clear()
                has_caught_up = await publisher.publish_page()
                self._report_progress(publisher, always=self._once and has_caught_up)
                if has_caught_up:
                    if self._once:
                        return
                    await self._pause(settings.bridge_poll_seconds)

    async def _claimed(self, log: ChangeLog) -> bool:
        """Waits until this is the only bridge of its name. Returns False if the bridge was
        stopped."""
        name, has_said = self._settings.bridge_name, False
        while not await log.claim(name):
            if self._once:
                raise BridgeError(f"another bridge named {name} is running")
            if not has_said:
                logger.info("another bridge named %s is running; this one stands by", name)
                has_said = True
            await self._pause(self._settings.bridge_poll_seconds)
            if self._stop.is_set():
                return False
        return True

    async def _pause(self, seconds: float) -> None:
        """Waits for a notification, for the stop, or for `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    def _report_progress(self, publisher: "_Publisher", *, always: bool) -> None:
        published, waited = publisher.published, time.monotonic() - self._reported_at
        if always or (published != self._reported and waited >= REPORT_SECONDS):
            logger.info("%s", publisher.describe())
            self._reported, self._reported_at = published, time.monotonic()


class _Publisher:
    """The rows of a change log after a position."""

    def __init__(
        self,
        log: ChangeLog,
        client: Client,
        positions: Positions,
        settings: Settings,
        position: Position,
        known: set[str],
    ) -> None:
        self._log, self._client, self._positions = log, client, positions
        self._settings, self._position = settings, position
        self._tracker = GapTracker(position.head, position.gaps)
        self._known = known

    @classmethod
    async def begin(
        cls, log: ChangeLog, client: Client, settings: Settings, start: Start
    ) -> "_Publisher":
        """Continues from the saved position, or saves a first one.

        Raises:
            NumberingRestarted: the position belongs to another table.
        """
        await check_log(client, settings)
        positions = await open_positions(client, settings)
        position = await positions.load()
        last = await last_sequence(client, settings)
        if position is None:
            position = await first_position(log, start, last)
            await positions.save(position)
            return cls(log, client, positions, settings, position, set())
        await log.check_numbering(position)
        if last < position.stream_seq:
            logger.warning(
                "stream %s ends at %s and had been at %s when the bridge saved its position: "
                "events that were published may be gone from it",
                settings.stream, f"{last:,}", f"{position.stream_seq:,}",
            )  # fmt: skip
        known = await published_since(position, last, settings)
        return cls(log, client, positions, settings, position, known)

    @property
    def published(self) -> int:
        """The number of events published up to this position."""
        return self._position.published

    def describe(self) -> str:
        """One line with the published events and the missing numbers."""
        open_numbers = sum(last - first + 1 for first, last in self._tracker.gaps)
        waits = f", {open_numbers:,} numbers without a row yet" if open_numbers else ""
        return f"{self.published:,} events published, up to row {self._tracker.head:,}{waits}"

    async def publish_page(self) -> bool:
        """Publishes the next rows. Returns whether no more were visible."""
        activity = await self._observed()
        looks_beyond = self._tracker.count <= MOST_GAPS
        page = await self._log.page(
            self._tracker.ranges(MOST_GAPS), rows=self._settings.bridge_rows, size=PAGE_BYTES
        )
        if not page.rows:
            await self._log.check_numbering(self._position)
        published = await self._publish(page)
        self._tracker.see(page.numbers)
        dropped = 0
        if activity is not None:
            dropped = self._tracker.settle(activity, LARGEST if page.is_last else page.numbers[-1])
        if page.rows or dropped:
            await self._save(page, published)
        if not looks_beyond and page.is_last:
            logger.warning(
                "%s gaps between rows wait for transactions that have not ended: no further rows "
                "are published until one does",
                f"{self._tracker.count:,}",
            )
        elif page.is_last:
            # The rows of events that were already in the log were visible before, and have been
            # read by now.
            self._known.clear()
        return page.is_last

    async def _observed(self) -> Activity | None:
        """The running transactions, read before the rows, if there are gaps."""
        if not self._tracker.gaps:
            return None
        activity = await self._log.activity()
        self._tracker.observe(activity)
        return activity

    async def _publish(self, page: Page) -> int:
        """Publishes the rows that the log does not have. Returns the number of events."""
        settings = self._settings
        new = [r for r in page.rows if event_id(r, settings.bridge_name) not in self._known]
        messages = (
            message_of(row, prefix=settings.subject_prefix, bridge=settings.bridge_name)
            for row in new
        )
        try:
            await publish(self._client, messages)
        except StreamMissing as error:
            # The stream existed before. A server that has just started may not have loaded it yet.
            raise LogUnavailable(str(error)) from error
        return len(page.rows)

    async def _save(self, page: Page, published: int) -> None:
        head_id = self._position.head_id
        if page.rows and page.numbers[-1] == self._tracker.head:
            own = page.rows[-1]["id"]
            head_id = None if own is None else str(own)
        self._position = Position(
            head=self._tracker.head,
            head_id=head_id,
            gaps=self._tracker.gaps,
            stream_seq=await last_sequence(self._client, self._settings),
            published=self._position.published + published,
            saved_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        await self._positions.save(self._position)


async def first_position(log: ChangeLog, start: Start, last: int) -> Position:
    """The first position of a bridge."""
    if start is Start.beginning:
        first = await log.first_number()
        # A row with a smaller number than the first visible one may still be committed.
        return Position(head=min(0, (first or 1) - 1), stream_seq=last)
    numbers = await log.recent_numbers()
    if not numbers:
        return Position(head=0, stream_seq=last)
    is_whole = len(numbers) < RECENT_NUMBERS
    tracker = GapTracker(min(0, numbers[0] - 1) if is_whole else numbers[0] - 1)
    tracker.see(numbers)
    head_id = await log.id_of(tracker.head)
    return Position(head=tracker.head, head_id=head_id, gaps=tracker.gaps, stream_seq=last)
