"""Cancels streams that their clients stop reading, so that they do not occupy connections."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from flight_service.graphql.errors import StreamStalled


class Pause:
    """The state of a stream while it waits for its reader."""

    def __init__(self, abandon: Callable[[], None]) -> None:
        """`abandon` ends the stream, from another thread."""
        self.abandon = abandon
        self.is_abandoned = False
        self.lock = threading.Lock()
        """Held while the stream is abandoned, so that its reader waits until that is done."""


class Stalls:
    """Watches streams that wait for their readers. Thread-safe. Its thread runs only while some
    stream waits."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: dict[Pause, float] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @contextmanager
    def paused(self, pause: Pause) -> Iterator[None]:
        """While this context is active, a stream waits for its reader.

        Raises:
            StreamStalled: the wait was too long, and the stream has been cancelled.
        """
        with self._changed:
            self._waiting[pause] = monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._waiting.pop(pause, None)
            with pause.lock:
                is_abandoned = pause.is_abandoned
            if is_abandoned:
                raise StreamStalled(self._seconds)

    @contextmanager
    def working(self, pause: Pause | None) -> Iterator[None]:
        """While this context is active, the reader works on what it has read; the wait starts again
        afterwards."""
        with self._changed:
            since = self._waiting.pop(pause, None) if pause else None
        try:
            yield
        finally:
            if pause is not None and since is not None:
                with self._changed:
                    self._waiting[pause] = monotonic()

    def close(self) -> None:
        """Stops watching."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._is_closed or not self._waiting:
                    self._thread = None
                    return
                self._changed.wait(min(1.0, self._seconds / 4))
                late = monotonic() - self._seconds
                stalled = [pause for pause, since in self._waiting.items() if since < late]
                for pause in stalled:
                    del self._waiting[pause]
                    # Acquired before the reader can continue.
                    pause.lock.acquire()
                    pause.is_abandoned = True
            for pause in stalled:
                threading.Thread(target=_abandon, args=(pause,), daemon=True).start()


def _abandon(pause: Pause) -> None:
    try:
        pause.abandon()
    finally:
        pause.lock.release()
