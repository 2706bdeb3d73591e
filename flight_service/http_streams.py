"""HTTP responses whose content is produced in threads while it is sent.

The work is cancelled as soon as the client disconnects. A client that does not read for some
seconds is disconnected.
"""

import logging
import math
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.to_thread import run_sync
from starlette.types import Receive, Send

from flight_service.errors import UNAVAILABLE, ServiceError
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.stream.connection import LogError

THREADS = 40
"""How many requests are processed at the same time."""

logger = logging.getLogger(__name__)

Made = TypeVar("Made")


class ThreadsBusy(ServiceError):
    """All threads have been busy for too long; the message says so."""

    status = UNAVAILABLE


class Streaming:
    """The threads that produce the responses of a route."""

    def __init__(self, *, wait_seconds: float, stall_seconds: float) -> None:
        """A request waits for a thread for `wait_seconds`. A client that does not read for
        `stall_seconds` is disconnected."""
        self._wait_seconds, self._stall_seconds = wait_seconds, stall_seconds
        # Requests wait for a thread, but cancellations have separate threads.
        self._working = anyio.CapacityLimiter(THREADS)
        self._cancelling = anyio.CapacityLimiter(THREADS)
        self._threads = anyio.CapacityLimiter(math.inf)

    @asynccontextmanager
    async def cancellation(self, receive: Receive) -> AsyncIterator[Cancellation]:
        """A cancellation for the work of a request whose body was read. It is cancelled when the
        client disconnects, which ends the block, and at the end of the block."""
        cancellation = Cancellation()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, receive, cancellation, tasks.cancel_scope)
            try:
                yield cancellation
            finally:
                tasks.cancel_scope.cancel()
                await self._cancel(cancellation.cancel)

    async def work(self, work: Callable[[], Made]) -> Made:
        """Does the work in a thread.

        Raises:
            ThreadsBusy: all of them stay busy.
        """
        try:
            with anyio.fail_after(self._wait_seconds):
                await self._working.acquire()
        except TimeoutError:
            raise ThreadsBusy(
                f"{THREADS} requests have been in progress for {self._wait_seconds:g} s. Try again "
                "in a moment."
            ) from None
        try:
            return await run_sync(work, limiter=self._threads)
        except Exception:
            # Cancelled work raises some error, which nobody waits for any more.
            await checkpoint_if_cancelled()
            raise
        finally:
            self._working.release()

    async def send(
        self, status: int, headers: Mapping[str, str], pieces: Iterable[bytes], send: Send
    ) -> None:
        """Sends a response. The pieces of a list exist already; others are produced in threads."""
        is_made = isinstance(pieces, list)
        sent = dict(headers)
        if is_made:
            sent["content-length"] = str(sum(map(len, pieces)))
        encoded = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        iterator = iter(pieces)
        try:
            while (piece := await self._next(iterator, is_made=is_made)) is not None:
                if piece:
                    with anyio.fail_after(self._stall_seconds):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (ServiceError, PlaneError, LogError) as failure:
            # The connection is closed without a final chunk, so that no client takes the part for
            # the whole.
            logger.warning("A response over HTTP was aborted: %s", failure)
        except TimeoutError:
            logger.warning(
                "A response over HTTP was not read for %g s and is aborted.", self._stall_seconds
            )
        finally:
            close = getattr(pieces, "close", None)
            if close:
                await self._cancel(close)

    async def _watch(
        self, receive: Receive, cancellation: Cancellation, scope: anyio.CancelScope
    ) -> None:
        """Cancels the work when the client disconnects."""
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()
        await self._cancel(cancellation.cancel)

    async def _cancel(self, act: Callable[[], None]) -> None:
        with anyio.CancelScope(shield=True):
            await run_sync(act, limiter=self._cancelling)

    async def _next(self, pieces: Iterator[bytes], *, is_made: bool) -> bytes | None:
        if is_made:
            return next(pieces, None)
        async with self._working:
            return await run_sync(next, pieces, None, limiter=self._threads)
