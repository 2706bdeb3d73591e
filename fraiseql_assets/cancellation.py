"""Cancels the work of a call from another thread."""

import threading
from collections.abc import Callable


class Cancellation:
    """Whether a call was cancelled. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._acts: list[Callable[[], None]] = []
        self._stopping = False

    @property
    def over(self) -> bool:
        """Whether the call was cancelled."""
        return self._event.is_set()

    @property
    def stopping(self) -> bool:
        """Whether the service stops, so that the client still waits for an answer."""
        return self._stopping

    def wait(self, seconds: float) -> bool:
        """Waits for the call to be cancelled, so long at most. Returns whether it was cancelled."""
        return self._event.wait(seconds)

    def then(self, act: Callable[[], None]) -> None:
        """Calls `act` from another thread when the call is cancelled, or now if it already is."""
        with self._lock:
            if not self._event.is_set():
                self._acts.append(act)
                return
        act()

    def cancel(self, *, stopping: bool = False) -> None:
        """Cancels the call's work."""
        with self._lock:
            if self._event.is_set():
                return
            self._stopping = stopping
            self._event.set()
            acts, self._acts = self._acts, []
        for act in acts:
            act()
