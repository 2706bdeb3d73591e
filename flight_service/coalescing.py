"""Request coalescing: concurrent calls that need the same result of a server share one request."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

Result = TypeVar("Result")


class CoalescedRequests(Generic[Result]):
    """Runs requests, at most one at a time for each key. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[Result]] = {}

    def run(self, key: Hashable, request: Callable[[], Result]) -> Result:
        """The result of a request that began after this call, in this thread or another.

        An earlier request of the key is waited for, but its result is not used: it may not include
        what the caller has just written.

        Raises:
            Exception: whatever the request raises, in every waiting caller.
        """
        with self._lock:
            earlier = self._running.get(key)
        if earlier is not None:
            wait([earlier])
        with self._lock:
            shared = self._running.get(key)
            if shared is None or shared is earlier:
                shared = own = self._running[key] = Future()
            else:
                own = None
        if own is not None:
            self._execute(key, own, request)
        return shared.result()

    def _execute(self, key: Hashable, own: Future[Result], request: Callable[[], Result]) -> None:
        try:
            result = request()
        except BaseException as error:
            self._remove(key, own)
            own.set_exception(error)
        else:
            self._remove(key, own)
            own.set_result(result)

    def _remove(self, key: Hashable, own: Future[Result]) -> None:
        with self._lock:
            if self._running.get(key) is own:
                del self._running[key]
