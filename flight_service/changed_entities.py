"""Removes cached GraphQL results when the log has events of their entities."""

import logging
import threading
import time

from flight_service.graphql.execution.result_cache import ResultCache
from flight_service.tail_fan_out import FanOut
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.stream.connection import LogError

RETRY_SECONDS = 5.0
logger = logging.getLogger(__name__)


class ChangedEntities:
    """Follows the log for a cache, from its first use until the process ends. While the log is
    unavailable, results expire only by age. When it is available again, all results are removed,
    because events may have been missed.
    """

    def __init__(self, events: FanOut, cache: ResultCache) -> None:
        self._events, self._cache = events, cache
        self._started = threading.Lock()
        cache.before_use = self.start

    def start(self) -> None:
        """Starts to follow the log, unless it does already."""
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._run, name="changed entities", daemon=True).start()

    def _run(self) -> None:
        is_told = False
        while True:
            try:
                for batches in self._events.follow(Cancellation()):
                    if not batches:
                        self._cache.clear()
                        is_told = False
                    for batch in batches:
                        self._cache.drop(batch["entity_type"].unique().to_pylist())
            except LogError as error:
                if not is_told:
                    logger.warning(
                        "Cached GraphQL results are not removed by events, only by age: %s", error
                    )
                is_told = True
            except Exception:
                logger.exception("Cached GraphQL results are not removed by events for a moment")
            time.sleep(RETRY_SECONDS)
