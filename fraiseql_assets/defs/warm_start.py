"""How the code server starts runs: forked from a process that has imported everything."""

from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event, Semaphore


class Latch(Event):
    """An event that one other process waits for; it is set once.

    The standard library's event waits, when it is set, until each sleeper has woken. If the process
    that slept was killed, that is never: Dagster's code server, which holds a lock meanwhile, would
    start no run again.
    """

    def __init__(self, *, ctx: ForkServerContext) -> None:
        super().__init__(ctx=ctx)
        self._set: Semaphore = ctx.Semaphore(0)

    def set(self) -> None:
        """Wakes the process that waits. Never blocks."""
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
    """The standard library's fork server, with events that a killed process cannot block."""

    def Event(self) -> Latch:  # noqa: N802 [the name that Dagster uses]
        return Latch(ctx=self)
