"""Limits failed logins of a user."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from flight_service.errors import Unauthenticated

MOST_FAILURES = 5
WINDOW_SECONDS = 60.0
MOST_NAMES = 10_000


class TooManyAttempts(Unauthenticated):
    """A user had too many failed logins."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The password of this user was wrong {MOST_FAILURES} times. Try again in "
            f"{max(1, round(seconds))} seconds."
        )


class Attempts:
    """Counts the failed logins of each user name. Thread-safe. A login counts from its start, so
    that concurrent logins cannot exceed the limit. Existing sessions are not affected.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, name: str) -> Callable[[], None]:
        """Counts a login. Returns a function to call if it succeeds.

        Raises:
            TooManyAttempts: there were too many failed logins.
        """
        now = self._clock()
        with self._lock:
            times = self._failed.setdefault(name, deque())
            self._failed.move_to_end(name)
            while times and now - times[0] >= WINDOW_SECONDS:
                times.popleft()
            if len(times) >= MOST_FAILURES:
                raise TooManyAttempts(WINDOW_SECONDS - (now - times[0]))
            times.append(now)
            while len(self._failed) > MOST_NAMES:
                self._failed.popitem(last=False)

        def succeeded() -> None:
            with self._lock:
                self._failed.pop(name, None)

        return succeeded
