"""Locks by principal: each principal plans one new query at a time."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flight_service.graphql.errors import Busy


@dataclass(eq=False, slots=True)
class _KeyLock:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class PrincipalLocks:
    """Lets one thread of each key work at a time. Thread-safe.

    Planning is limited by the processor, so concurrent plans of one principal are not ready sooner.
    They only take time from other principals.
    """

    def __init__(self, seconds: float) -> None:
        """A thread waits for the lock for at most `seconds`."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._locks: dict[Hashable, _KeyLock] = {}

    @contextmanager
    def hold(self, key: Hashable | None) -> Iterator[None]:
        """Holds the key's lock for the duration of the block. Without a key there is no lock.

        Raises:
            Busy: another thread held the lock for too long.
        """
        if key is None:
            yield
            return
        with self._lock:
            held = self._locks.setdefault(key, _KeyLock())
            held.users += 1
        try:
            if not held.lock.acquire(timeout=self._seconds):
                raise Busy(
                    "Other new queries of this principal have been checked and planned for "
                    f"{self._seconds:g} s. Try again, and send the same text with variables "
                    "instead of new texts: its plan is remembered."
                )
            try:
                yield
            finally:
                held.lock.release()
        finally:
            with self._lock:
                held.users -= 1
                if not held.users:
                    del self._locks[key]
