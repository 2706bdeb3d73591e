"""Turns: work of which each principal does one piece at a time."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flight_service.graphql.errors import Busy


@dataclass(eq=False, slots=True)
class _Turn:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class Turns:
    """Lets one thread of each key work at a time. Thread-safe.

    Planning takes only the processor, so several plans at once are not ready sooner: they only take
    the time of other principals.
    """

    def __init__(self, seconds: float) -> None:
        """A thread waits for its turn for `seconds`."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._turns: dict[Hashable, _Turn] = {}

    @contextmanager
    def taken(self, key: Hashable | None) -> Iterator[None]:
        """Waits for the key's turn, and has it for the duration of the block. Without a key nobody
        waits.

        Raises:
            Busy: the turn did not come in time.
        """
        if key is None:
            yield
            return
        with self._lock:
            turn = self._turns.setdefault(key, _Turn())
            turn.users += 1
        try:
            if not turn.lock.acquire(timeout=self._seconds):
                raise Busy(
                    "Other new queries of this principal have been checked and planned for "
                    f"{self._seconds:g} s. Try again, and send the same text with variables "
                    "instead of new texts: its plan is remembered."
                )
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            with self._lock:
                turn.users -= 1
                if not turn.users:
                    del self._turns[key]
