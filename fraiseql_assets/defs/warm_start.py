"""Starts runs by forking a process that has already imported everything."""

from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event, Semaphore


class Latch(Event):
    """An event that is set once and that one other process waits for.

    Setting an event of the standard library blocks until each waiting process has woken up. If that
    process was killed, it blocks forever. Dagster's code server holds a lock meanwhile and could
    not start another run.
    """

    def __init__(self, *, ctx: ForkServerContext) -> None:
        super().__init__(ctx=ctx)
        self._set: Semaphore = ctx.Semaphore(0)

    def set(self) -> None:
        """Wakes the waiting process. Never blocks."""
        if not self.is_set():
            self._set.release()

    def is_set(self) -> bool:
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set. Returns whether it is."""
        found = self._set.acquire(True, timeout)
        if found:
            self._set.release()
        return found


class WarmContext(ForkServerContext):
    """The fork server of the standard library, with events that a killed process cannot block."""

    def Event(self) -> Latch:  # noqa: N802 [the name that Dagster uses]
        return Latch(ctx=self)
