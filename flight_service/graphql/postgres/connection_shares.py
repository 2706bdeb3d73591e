"""Who may use a connection next: shares of the connections for large results and for principals."""

import threading
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from time import monotonic

WAITING = 4
"""How many times its share of large results one principal may wait for."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a connection is used for."""

    large: bool = False
    """Whether its result may be large."""
    reader: Hashable | None = None
    """The principal that reads; None if principals cannot be told apart."""


@dataclass(eq=False, slots=True)
class _Waiter:
    use: Use
    admitted: threading.Event = field(default_factory=threading.Event)


class Shares:
    """Admits uses of at most `connections` at once, those that wait longest first. Thread-safe.

    Large results use at most `for_large` connections, by default half of them, and those of one
    principal half of these, each at least one. So neither many large results nor one principal can
    block the others.
    """

    def __init__(self, connections: int, for_large: int | None = None) -> None:
        self.connections = connections
        self.for_large = for_large or max(1, connections // 2)
        self.for_reader = max(1, self.for_large // 2)
        self._lock = threading.Lock()
        self._used = 0
        self._large = 0
        self._readers: Counter[Hashable] = Counter()
        """The large results that each principal reads."""
        self._waiting: deque[_Waiter] = deque()

    @property
    def waiting(self) -> int:
        """How many uses wait."""
        return len(self._waiting)

    def enter(self, use: Use, seconds: float) -> bool:
        """Waits until the use is admitted, for at most `seconds`. Returns whether it was.

        A principal that has too many uses waiting is not admitted, without waiting. The caller
        calls `leave` for each use that was admitted.
        """
        waiter = _Waiter(use)
        deadline = monotonic() + seconds
        with self._lock:
            # Whoever waits and could be admitted has been: none of them is overtaken.
            if self._is_free(use):
                self._admit(use)
                return True
            if seconds <= 0 or self._waits_enough(use):
                return False
            self._waiting.append(waiter)
        if waiter.admitted.wait(max(0.0, deadline - monotonic())):
            return True
        with self._lock:
            if waiter.admitted.is_set():
                return True
            self._waiting.remove(waiter)
            return False

    def leave(self, use: Use) -> None:
        """Ends an admitted use, and admits those who wait for it."""
        with self._lock:
            self._used -= 1
            if use.large:
                self._large -= 1
                if use.reader is not None:
                    self._readers[use.reader] -= 1
                    if not self._readers[use.reader]:
                        del self._readers[use.reader]
            for waiter in tuple(self._waiting):
                if self._used == self.connections:
                    break
                if self._is_free(waiter.use):
                    self._waiting.remove(waiter)
                    self._admit(waiter.use)
                    waiter.admitted.set()

    def is_at_share(self, use: Use) -> bool:
        """Whether the principal of a large result reads as many as it may."""
        if not use.large or use.reader is None:
            return False
        return self._readers[use.reader] >= self.for_reader

    def _is_free(self, use: Use) -> bool:
        if self._used >= self.connections:
            return False
        return not use.large or (self._large < self.for_large and not self.is_at_share(use))

    def _waits_enough(self, use: Use) -> bool:
        if not use.large or use.reader is None:
            return False
        waiting = sum(one.use == use for one in self._waiting)
        return waiting >= WAITING * self.for_reader

    def _admit(self, use: Use) -> None:
        self._used += 1
        if use.large:
            self._large += 1
            if use.reader is not None:
                self._readers[use.reader] += 1
