"""Publishes requests to the log without delaying or failing them.

`RequestLog.record` puts a request into a bounded buffer and returns. A thread redacts, encodes and
publishes its content. While NATS does not answer, the buffer fills. Requests that no longer fit are
dropped and counted.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nats.aio.client import Client

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.requests.record import RequestRecord, message_of
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, LogUnavailable, StreamMissing, connect
from fraiseql_assets.stream.publish import publish

logger = logging.getLogger(__name__)

BATCH = 500
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
WARN_SECONDS = 60.0
CLOSE_SECONDS = 3.0

Recorded = RequestRecord | Callable[[], RequestRecord | None]
"""A request, or a function that parses it from recorded bytes. The publishing thread calls it, so
that no request waits for it. It returns None if there is no request."""


class RequestRecorder(Protocol):
    """Where requests are recorded."""

    def record(self, request: Recorded) -> None:
        """Records a request. Returns at once and never raises an error."""
        ...


class Unrecorded:
    """Ignores requests."""

    def record(self, request: Recorded) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the requests so far."""

    published: int
    dropped: int
    """Not published: the buffer was full, or NATS refused the message."""
    waiting: int


class RequestLog:
    """Publishes requests to the settings' request stream until `close`. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: deque[Recorded] = deque()
        self._changed = threading.Condition()
        self._published = self._dropped = 0
        self._warned = float("-inf")
        self._closing = False
        self._thread: threading.Thread | None = None

    def record(self, request: Recorded) -> None:
        """Buffers a request, or drops it if `FRAISEQL_REQUEST_LOG_BUFFER` requests wait."""
        with self._changed:
            if self._closing or len(self._waiting) >= self._settings.request_log_buffer:
                self._dropped += 1
                return
            self._waiting.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="request log", daemon=True)
                self._thread.start()
            self._changed.notify()

    def counts(self) -> Counts:
        """What became of the requests so far."""
        with self._changed:
            return Counts(self._published, self._dropped, len(self._waiting))

    def close(self, seconds: float = CLOSE_SECONDS) -> Counts:
        """Publishes the buffered requests within `seconds`, and accepts no more."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread:
            thread.join(seconds)
        return self.counts()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
            try:
                asyncio.run(self._publish())
                pause = FIRST_PAUSE_SECONDS
            except LogError as error:
                self._warn(str(error))
                with self._changed:
                    # A process that ends must not wait for an unavailable server.
                    if self._closing:
                        self._dropped += len(self._waiting)
                        self._waiting.clear()
                        return
                    self._changed.wait_for(lambda: self._closing, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _publish(self) -> None:
        """Publishes over one connection until it is lost or the log is closed."""
        async with connect(self._settings, name="fraiseql request log") as client:
            while await asyncio.to_thread(self._await_requests):
                with self._changed:
                    batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
                messages = [message for one in batch if (message := self._message(one))]
                refused = 0
                try:
                    await publish(client, messages)
                except (LogUnavailable, StreamMissing):
                    raise
                except LogError:
                    refused = await self._publish_each(client, messages)
                with self._changed:
                    for _ in batch:
                        self._waiting.popleft()
                    self._published += len(messages) - refused
                    self._dropped += refused

    async def _publish_each(self, client: Client, messages: list[Outgoing]) -> int:
        """Publishes one by one, so that refused messages do not affect others. Returns how many
        were refused."""
        refused = 0
        for message in messages:
            try:
                await publish(client, [message])
            except (LogUnavailable, StreamMissing):
                raise
            except LogError as error:
                refused += 1
                self._warn(str(error))
        return refused

    def _await_requests(self) -> bool:
        """Waits for requests. Returns False when the log is closed and none waits."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            return bool(self._waiting)

    def _message(self, recorded: Recorded) -> Outgoing | None:
        try:
            record = recorded() if callable(recorded) else recorded
            if record is None:
                return None
            return message_of(
                record,
                self._settings.request_subject_prefix,
                self._settings.request_log_redact,
            )
        except Exception:
            # The request of one client must not stop the recording of others.
            logger.exception("A request could not be recorded")
            with self._changed:
                self._dropped += 1
            return None

    def _warn(self, why: str) -> None:
        """Logs once a minute why requests are not published."""
        now = time.monotonic()
        if now - self._warned >= WARN_SECONDS:
            self._warned = now
            logger.warning("Requests are not recorded now: %s", why)


def request_log(settings: Settings) -> RequestLog | Unrecorded:
    """The request log of the settings. It ignores requests if `FRAISEQL_REQUEST_LOG` is off."""
    return RequestLog(settings) if settings.request_log else Unrecorded()
