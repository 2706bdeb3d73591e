"""Cancels the work of a streaming call when its client disconnects or the service stops.

gRPC reports a cancelled call only when polled. One thread polls all streaming calls, so that work
which waits for a database is cancelled at once, not at its next batch. Each cancellation runs in a
thread of its own, because it may wait for the network.
"""

import threading
import time
from typing import cast

from pyarrow import flight

from fraiseql_assets.cancellation import Cancellation

POLL_SECONDS = 0.02
POLLS_PER_SECOND = 1_500
"""The most calls that are polled in a second. No other Python code runs during a poll, and a
hundred calls that were each polled every 20 ms took an eighth of a core."""

STOP_SECONDS = 2.0
"""How long the service, when it stops, waits for the work of streams to be cancelled."""


class CancellationMiddleware(flight.ServerMiddleware):
    """Removes a call before Arrow frees its context."""

    def __init__(self, calls: "Cancellations") -> None:
        super().__init__()
        self._calls = calls

    def call_completed(self, exception: Exception | None) -> None:
        self._calls.remove(self)


class Cancellations(flight.ServerMiddlewareFactory):
    """All streaming calls, polled until they are complete."""

    KEY = "calls"

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._live: dict[
            flight.ServerMiddleware, tuple[flight.ServerCallContext, Cancellation]
        ] = {}
        self._endless: set[Cancellation] = set()
        self._draining = False
        self._stopping = False
        threading.Thread(target=self._watch, name="calls", daemon=True).start()

    def start_call(
        self, info: flight.CallInfo, headers: dict[str, list[str]]
    ) -> CancellationMiddleware:
        return CancellationMiddleware(self)

    def watch(self, context: flight.ServerCallContext, *, is_endless: bool = False) -> Cancellation:
        """Starts to poll the context's call. Returns its cancellation. An endless stream is
        cancelled when the service begins to drain, the others when it stops."""
        cancellation = Cancellation()
        middleware = cast(CancellationMiddleware, context.get_middleware(self.KEY))
        with self._changed:
            self._live[middleware] = context, cancellation
            self._changed.notify()
            if is_endless:
                self._endless.add(cancellation)
            stopping = self._stopping or (is_endless and self._draining)
        if stopping:
            cancellation.cancel(stopping=True)
        return cancellation

    def remove(self, middleware: flight.ServerMiddleware) -> None:
        """Stops polling a call. Its context is not used any more."""
        with self._changed:
            _, cancellation = self._live.pop(middleware, (None, None))
            if cancellation:
                self._endless.discard(cancellation)

    def drain(self) -> None:
        """Ends every endless stream, and each that begins from now on."""
        with self._changed:
            self._draining = True
            endless = list(self._endless)
        for one in endless:
            _cancel(one, stopping=True)

    def stop(self) -> None:
        """Cancels every stream, and each that begins from now on."""
        with self._changed:
            self._stopping = True
            live = [cancellation for _, cancellation in self._live.values()]
        cancelling = [_cancel(one, stopping=True) for one in live]
        deadline = time.monotonic() + STOP_SECONDS
        for thread in cancelling:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._live:
                    self._changed.wait()
                # Under the lock: a context is valid only until its call is removed.
                gone = [
                    (middleware, cancellation)
                    for middleware, (context, cancellation) in self._live.items()
                    if context.is_cancelled()
                ]
                for middleware, cancellation in gone:
                    del self._live[middleware]
                    self._endless.discard(cancellation)
                pause = pause_between_polls(len(self._live))
            for _, cancellation in gone:
                _cancel(cancellation)
            time.sleep(pause)


def pause_between_polls(calls: int) -> float:
    """The seconds between two polls of so many calls: `POLL_SECONDS` for up to thirty of them, and
    more for more."""
    return max(POLL_SECONDS, calls / POLLS_PER_SECOND)


def _cancel(cancellation: Cancellation, *, stopping: bool = False) -> threading.Thread:
    """Cancels in a thread of its own, so that no other cancellation waits for this one."""
    thread = threading.Thread(
        target=cancellation.cancel, kwargs={"stopping": stopping}, name="cancel", daemon=True
    )
    thread.start()
    return thread
