"""Searches that end when their call is cancelled.

The server cancels a search whose connection is closed. The tasks API would need the privilege to
manage the cluster.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fraiseql_assets.cancellation import Cancellation


class Interruption:
    """Ends the requests of one call by closing their connections. Thread-safe."""

    def __init__(self, cancellation: Cancellation | None = None) -> None:
        """The requests end when `cancellation` is cancelled."""
        self._lock = threading.Lock()
        self._waiting: socket.socket | None = None
        self.is_over = False
        """Whether the call was cancelled."""
        if cancellation is not None:
            cancellation.then(self.end)

    @contextmanager
    def applies(self) -> Iterator[None]:
        """A block whose requests, one at a time, are ended by `end`, with a connection error."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def waiting(self, connected: socket.socket) -> Iterator[None]:
        """A block that waits for the response of a connection, which no other request uses."""
        with self._lock:
            self._waiting = connected
            self._shut_down()
        try:
            yield
        finally:
            with self._lock:
                self._waiting = None

    def end(self) -> None:
        """Ends the request under way, and each that begins from now on."""
        with self._lock:
            self.is_over = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self.is_over and self._waiting is not None:
            # The server may have closed it already.
            with contextlib.suppress(OSError):
                # That of TLS would change what the waiting thread reads from.
                socket.socket.shutdown(self._waiting, socket.SHUT_RDWR)


_current: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


def interruptible(connection: type[Any]) -> type[Any]:
    """The class of HTTP connections whose wait for a response an `Interruption` ends.

    The wait alone is ended: when the response has begun, the server has done its work, and the
    connection may serve another request as soon as the response is read.
    """

    class Interruptible(connection):
        def getresponse(self) -> Any:
            interruption = _current.get()
            if interruption is None or self.sock is None:
                return super().getresponse()
            with interruption.waiting(self.sock):
                return super().getresponse()

    return Interruptible
