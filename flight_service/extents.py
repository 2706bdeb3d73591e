"""Extents of flights. Concurrent calls share one request to a server."""

import threading
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late

from flight_service.coalescing import CoalescedRequests
from flight_service.errors import as_flight_error, client_message
from flight_service.flights import Extent, Flight, no_extent
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.tracing import in_thread


class Extents:
    """Reads the extents of flights. Thread-safe.

    Clients that need the same extent at the same time share one request, so the number of
    threads depends on the number of flights, not of clients.
    """

    def __init__(self, seconds: float) -> None:
        """An extent that is not available after `seconds` is unknown. A server that does not answer
        occupies one thread until its own timeout."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[Extent]] = {}
        self._requests: CoalescedRequests[Extent] = CoalescedRequests()

    def extent(self, flight: Flight) -> Extent:
        """The extent of one flight; see `CoalescedRequests.run`. Raises the errors of
        `Flight.extent`."""
        # Others may wait for the same request, so no client cancels it.
        cancellation = Cancellation()
        if flight.extent_key is None:
            return flight.extent(cancellation)
        return self._requests.run(flight.extent_key, lambda: flight.extent(cancellation))

    def extents(self, flights: Sequence[Flight]) -> list[Extent]:
        """The extents, requested concurrently. One that fails or is late is unknown, with the
        reason."""
        answers = [self._asked(flight) for flight in flights]
        deadline = time.monotonic() + self._seconds
        return [self._answer(one, deadline) for one in answers]

    def _asked(self, flight: Flight) -> Future[Extent]:
        if flight.extent is no_extent:
            known: Future[Extent] = Future()
            known.set_result(Extent())
            return known
        key = object() if flight.extent_key is None else flight.extent_key
        with self._lock:
            if key in self._running:
                return self._running[key]
            answer = self._running[key] = Future()
        in_thread(self._ask, key, flight, answer)
        return answer

    def _ask(self, key: Hashable, flight: Flight, answer: Future[Extent]) -> None:
        try:
            extent = self.extent(flight)
        except (PlaneError, LogError) as error:
            extent = _unknown(client_message(error))
        except Exception as error:
            extent = _unknown(str(as_flight_error(error)))
        with self._lock:
            del self._running[key]
        answer.set_result(extent)

    def _answer(self, asked: Future[Extent], deadline: float) -> Extent:
        try:
            return asked.result(max(0.0, deadline - time.monotonic()))
        except Late:
            return _unknown(f"Its server has not answered within {self._seconds:g} seconds.")


def _unknown(why: str) -> Extent:
    return Extent(about={"error": why})
