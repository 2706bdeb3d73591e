"""Running statements, and statements that were cancelled before they were read."""

import threading
from collections.abc import Iterator

import pyarrow as pa

from flight_service.errors import CANCELLED, ServiceError
from flight_service.sql.catalogue import Execution
from flight_service.sql.recently_used import RecentlyUsed
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator

MOST_REMEMBERED = 10_000


class StatementCancelled(ServiceError):
    """A client has cancelled the statement."""

    status = CANCELLED

    def __str__(self) -> str:
        return "The statement was cancelled. Send it again for its result."


class RunningStatements:
    """The running executions, by the ids of their handles. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, set[Cancellation]] = {}
        self._cancelled: RecentlyUsed[bool] = RecentlyUsed(MOST_REMEMBERED)

    def batches(
        self, id: str, execution: Execution, call: Cancellation
    ) -> Iterator[pa.RecordBatch]:
        """The execution's rows, until the call ends or the id is cancelled.

        Raises:
            StatementCancelled: the id is cancelled.
        """
        own = Cancellation()
        with self._lock:
            if self._cancelled.get(id):
                raise StatementCancelled
            self._running.setdefault(id, set()).add(own)
        call.then(own.cancel)
        found = execution.batches(own)
        try:
            for batch in found:
                if own.over:
                    break
                yield batch
            self._check(own, call)
        except StatementCancelled:
            raise
        except Exception:
            # Cancelled work raises some error.
            self._check(own, call)
            raise
        finally:
            close_iterator(found)
            with self._lock:
                self._running[id].discard(own)
                if not self._running[id]:
                    del self._running[id]

    def cancel(self, id: str) -> None:
        """Ends every execution of the id, and refuses later ones."""
        with self._lock:
            self._cancelled.put(id, True)
            found = list(self._running.get(id, ()))
        for one in found:
            one.cancel()

    def _check(self, own: Cancellation, call: Cancellation) -> None:
        if own.over and not call.over:
            raise StatementCancelled from None
