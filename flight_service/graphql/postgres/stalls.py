"""Streams that nobody reads: after some seconds they give their connection back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from flight_service.graphql.errors import StreamStalled


class Pause:
    """A stream that may be waiting for its reader."""

    def __init__(self, abandon: Callable[[], None]) -> None:
        """`abandon` ends the stream from another thread, while nobody reads it."""
        self.abandon = abandon
        self.is_abandoned = False
        self.lock = threading.Lock()
        """Held while it is abandoned, so that its reader does not go on meanwhile."""


class Stalls:
    """Watches the streams that wait for their readers. Thread-safe; its thread runs while some
    stream waits."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: dict[Pause, float] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @contextmanager
    def paused(self, pause: Pause) -> Iterator[None]:
        """The time in which a stream waits for its reader.

        Raises:
            StreamStalled: it took too long; the stream has been abandoned.
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
        """A part of a pause in which its reader works on what it has read."""
        with self._changed:
            since = self._waiting.pop(pause, None) if pause else None
        try:
            yield
        finally:
            if pause is not None and since is not None:
                with self._changed:
                    self._waiting[pause] = monotonic()

    def close(self) -> None:
        """Ends the watch."""
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
                    # Taken before the stream's reader can come back.
                    pause.lock.acquire()
                    pause.is_abandoned = True
            for pause in stalled:
                threading.Thread(target=_abandon, args=(pause,), daemon=True).start()


def _abandon(pause: Pause) -> None:
    try:
        pause.abandon()
    finally:
        pause.lock.release()
