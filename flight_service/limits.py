"""How many results one principal may read at once, over Flight and HTTP together."""

import threading
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, cast

from pyarrow import flight

from flight_service.authentication import Principal
from flight_service.errors import UNAVAILABLE, ServiceError
from fraiseql_assets.settings import Settings


class TooManyStreams(ServiceError):
    """The principal is at its limit of concurrent results."""

    status = UNAVAILABLE

    def __init__(self, most: int) -> None:
        super().__init__(
            f"This principal reads {most} results already, as many as FRAISEQL_PRINCIPAL_STREAMS "
            "allows. Try again when one has ended."
        )


def reader_of(principal: Principal, *, is_guarded: bool) -> Hashable | None:
    """Identifies the reader whose results are limited, the same for all tokens of a principal. None
    if no tokens are checked, because principals are unknown."""
    return (principal.subject, principal.tenant) if is_guarded else None


class StreamLimits:
    """Counts the results that each principal reads. Thread-safe. If no tokens are checked,
    principals are unknown and nothing is limited.
    """

    def __init__(self, settings: Settings) -> None:
        self._most = settings.principal_streams
        self._is_guarded = settings.is_guarded
        self._lock = threading.Lock()
        self._open: Counter[Any] = Counter()

    def begin(self, principal: Principal) -> Callable[[], None]:
        """Counts one more result. Returns a function that ends it, which may be called more than
        once.

        Raises:
            TooManyStreams: the principal is at its limit.
        """
        key = reader_of(principal, is_guarded=self._is_guarded)
        if key is None:
            return _nothing
        with self._lock:
            if self._open[key] >= self._most:
                raise TooManyStreams(self._most)
            self._open[key] += 1
        ended = threading.Lock()

        def end() -> None:
            if not ended.acquire(blocking=False):
                return
            with self._lock:
                self._open[key] -= 1
                if not self._open[key]:
                    del self._open[key]

        return end


class LimitedCall(flight.ServerMiddleware):
    """Stops counting a call when it ends, with or without an error."""

    def __init__(self) -> None:
        super().__init__()
        self.end = _nothing

    def call_completed(self, exception: Exception | None) -> None:
        self.end()


class LimitedCalls(flight.ServerMiddlewareFactory):
    """The limits for calls over Flight."""

    KEY = "limits"

    def __init__(self, limits: StreamLimits) -> None:
        super().__init__()
        self._limits = limits

    def start_call(self, info: flight.CallInfo, headers: dict[str, list[str]]) -> LimitedCall:
        return LimitedCall()

    def begin(self, context: flight.ServerCallContext, principal: Principal) -> None:
        """Counts the context's call until it is complete; see `StreamLimits.begin`."""
        cast(LimitedCall, context.get_middleware(self.KEY)).end = self._limits.begin(principal)


def _nothing() -> None: ...
