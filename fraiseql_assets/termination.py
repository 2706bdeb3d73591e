"""Waiting for SIGTERM or Ctrl-C without missing one.

Python calls a signal's handler in the main thread, between two instructions. If the signal arrives
in another thread, or just before the main thread blocks on a lock, nothing wakes the main thread.
`signal.set_wakeup_fd` writes a byte to a pipe in every case, and the byte stays until it is read.
"""

import os
import select
import signal


class Termination:
    """The requests to end this process, counted from when this is created in the main thread."""

    def __init__(self) -> None:
        self._requests, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Returns at the first request that no earlier call returned for."""
        os.read(self._requests, 1)

    def is_requested_again(self) -> bool:
        """Whether a request has arrived since `wait` returned."""
        return bool(select.select([self._requests], [], [], 0)[0])
