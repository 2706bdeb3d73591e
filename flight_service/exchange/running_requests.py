"""The running requests of one stream, each in a separate thread."""

import threading
from collections.abc import Callable

from flight_service.errors import InvalidRequest
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.tracing import in_thread

Work = Callable[[Cancellation, Callable[[], None]], None]
"""The work of a request. It calls its second argument before its last response, so that the client
may reuse the correlation id."""


class RunningRequests:
    """Runs requests, with limits for finite requests and for subscriptions. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._slots = threading.Semaphore(most)
        self._changed = threading.Condition()
        self._requests: dict[str, Cancellation] = {}
        self._threads = 0
        self._endless = 0
        self._is_over = False
        self._is_stopping = False

    def start(self, correlation_id: str, work: Work, *, is_endless: bool) -> None:
        """Runs a request in a thread. A finite request waits while the limit is reached; a
        subscription does not wait.

        Raises:
            InvalidRequest: the limit of subscriptions is reached, or another request with this
            correlation id runs.
        """
        if not is_endless:
            self._slots.acquire()
        cancellation = Cancellation()
        try:
            self._add(correlation_id, cancellation, is_endless)
        except InvalidRequest:
            if not is_endless:
                self._slots.release()
            raise

        def run() -> None:
            try:
                work(cancellation, lambda: self._forget(correlation_id, cancellation))
            finally:
                self._end(correlation_id, cancellation, is_endless)

        in_thread(run, name="exchange")

    def cancel(self, correlation_id: str) -> bool:
        """Cancels a request. Returns whether it ran."""
        with self._changed:
            cancellation = self._requests.get(correlation_id)
        if cancellation is not None:
            cancellation.cancel()
        return cancellation is not None

    def cancel_all(self, *, stopping: bool) -> None:
        """Cancels every request, and every later one."""
        with self._changed:
            self._is_over, self._is_stopping = True, stopping
            cancellations = list(self._requests.values())
        for one in cancellations:
            # Each may wait for a database.
            threading.Thread(
                target=one.cancel, kwargs={"stopping": stopping}, name="cancel", daemon=True
            ).start()

    def wait(self) -> None:
        """Waits until no request runs."""
        with self._changed:
            self._changed.wait_for(lambda: not self._threads)

    def _add(self, correlation_id: str, cancellation: Cancellation, is_endless: bool) -> None:
        with self._changed:
            if correlation_id in self._requests:
                raise InvalidRequest(
                    "Another request with this correlation id runs. Take another id."
                )
            if is_endless and self._endless >= self._most:
                raise InvalidRequest(
                    f"This stream has {self._most} subscriptions, as many as "
                    "FRAISEQL_EXCHANGE_REQUESTS allows. Cancel one, or use another stream."
                )
            self._requests[correlation_id] = cancellation
            self._endless += is_endless
            self._threads += 1
            is_over, is_stopping = self._is_over, self._is_stopping
        if is_over:
            cancellation.cancel(stopping=is_stopping)

    def _forget(self, correlation_id: str, cancellation: Cancellation) -> None:
        """Frees the correlation id for the client's next request."""
        with self._changed:
            if self._requests.get(correlation_id) is cancellation:
                del self._requests[correlation_id]

    def _end(self, correlation_id: str, cancellation: Cancellation, is_endless: bool) -> None:
        self._forget(correlation_id, cancellation)
        with self._changed:
            self._endless -= is_endless
            self._threads -= 1
            self._changed.notify_all()
        if not is_endless:
            self._slots.release()
