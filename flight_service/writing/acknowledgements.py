"""Sends the acknowledgements of a DoPut while its batches still arrive, in a separate thread.

A client may wait for the acknowledgement of a batch before it sends the next. It may also send
everything before it reads the first acknowledgement. So neither direction waits for the other.
"""

import threading
from collections import deque
from collections.abc import Callable

from flight_service.writing.sink import Receipt

MOST_WAITING = 1000
"""How many acknowledgements may wait for a client that does not read them; further ones are
merged."""


class Acknowledgements:
    """Sends receipts in order. Thread-safe. Use as a context manager: its end waits until all are
    sent, or the client has disconnected."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        """`send` sends one acknowledgement. It may block, and raises if the client has
        disconnected."""
        self._send = send
        self._changed = threading.Condition()
        self._waiting: deque[Receipt] = deque()
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)

    def __enter__(self) -> "Acknowledgements":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._has_ended = True
            self._changed.notify()
        self._thread.join()

    def put(self, receipt: Receipt) -> None:
        """Queues a receipt. Returns at once."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                receipt = self._waiting.pop().merged(receipt)
            self._waiting.append(receipt)
            self._changed.notify()

    def _run(self) -> None:
        while (receipt := self._next()) is not None:
            try:
                self._send(receipt.encode())
            except Exception:
                # The client has disconnected. Stored rows do not depend on it, and the call ends
                # elsewhere.
                with self._changed:
                    self._waiting.clear()

    def _next(self) -> Receipt | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._has_ended)
            return self._waiting.popleft() if self._waiting else None
