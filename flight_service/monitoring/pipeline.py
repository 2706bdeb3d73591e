"""The progress of the log and the planes as samples, requested from their servers when scraped."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial

from flight_service.monitoring import metrics
from flight_service.monitoring.metrics import Sample
from fraiseql_assets.datasets import EVENTS
from fraiseql_assets.pipeline.progress import (
    LogStatus,
    PlaneStatus,
    age_of,
    log_status,
    oldest_missing,
    plane_status,
)
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import PLANES, open_plane
from fraiseql_assets.stream.connection import LogError

FRESH_SECONDS = 5.0
"""How long values are cached between scrapes."""
WAIT_SECONDS = 2.0
"""How long a scrape waits for servers. After that it has the previous values."""

logger = logging.getLogger(__name__)


class PipelineSampler:
    """Samples of the log and of each plane that is switched on. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._found: dict[str, list[Sample]] = {}
        self._asking: threading.Thread | None = None
        self._asked_at = float("-inf")
        self._rows: dict[str, tuple[int, int]] = {}
        """For each plane, the last row count of its ledger, and the rows added so far."""

    def __call__(self) -> Iterable[Sample]:
        """The values, at most seven seconds old while the servers answer."""
        with self._lock:
            is_asking = self._asking is not None and self._asking.is_alive()
            if not is_asking and time.monotonic() - self._asked_at >= FRESH_SECONDS:
                self._asking = threading.Thread(target=self._ask, name="scrape", daemon=True)
                self._asking.start()
            asking = self._asking
        if asking:
            asking.join(WAIT_SECONDS)
        with self._lock:
            return [sample for samples in self._found.values() for sample in samples]

    def _ask(self) -> None:
        try:
            log = log_status(EVENTS, self._settings, writes=False)
            self._keep("log", lambda: _of_log(log))
            names = [name for name in PLANES if self._settings.has_plane(name)]
            asks = [
                threading.Thread(
                    target=self._keep, args=(name, partial(self._of_plane, name, log)), daemon=True
                )
                for name in names
            ]
            for one in asks:
                one.start()
            for one in asks:
                one.join()
        finally:
            self._asked_at = time.monotonic()

    def _keep(self, dependency: str, ask: Callable[[], Iterator[Sample]]) -> None:
        try:
            found = list(ask())
        except Exception:
            logger.exception("The metrics of %s could not be read", dependency)
            found = [Sample(metrics.UP, 0, (dependency,))]
        with self._lock:
            self._found[dependency] = found

    def _of_plane(self, name: str, log: LogStatus) -> Iterator[Sample]:
        status = plane_status(open_plane(name, self._settings, EVENTS), log, self._settings)
        yield Sample(metrics.UP, not status.error, (name,))
        if status.error:
            return
        before, added = self._rows.get(name, (status.rows, 0))
        added += max(0, status.rows - before)
        self._rows[name] = status.rows, added
        yield Sample(metrics.PLANE_POSITION, status.position, (name,))
        yield Sample(metrics.PLANE_ROWS, status.rows, (name,))
        yield Sample(metrics.PLANE_ROWS_COMMITTED, added, (name,))
        if status.last_commit:
            at = datetime.fromisoformat(status.last_commit).timestamp()
            yield Sample(metrics.PLANE_COMMIT, at, (name,))
        if not log.error:
            yield Sample(metrics.PLANE_LAG, status.behind, (name,))
            yield from self._freshness(status)

    def _freshness(self, status: PlaneStatus) -> Iterator[Sample]:
        try:
            age = age_of(oldest_missing(EVENTS, self._settings, status))
        except LogError:
            return
        yield Sample(metrics.PLANE_FRESHNESS, age, (status.plane,))


def _of_log(log: LogStatus) -> Iterator[Sample]:
    yield Sample(metrics.UP, not log.error, ("log",))
    if not log.error:
        yield Sample(metrics.LOG_FIRST, log.first)
        yield Sample(metrics.LOG_LAST, log.last)
        yield Sample(metrics.LOG_MESSAGES, log.messages)
        yield Sample(metrics.LOG_BYTES, log.bytes)
        yield Sample(metrics.DEAD_LETTERS, log.dead_letters)
