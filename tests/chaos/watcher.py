"""A reader that counts rows in a loop. The counts must never decrease."""

import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

import requests

from fraiseql_assets.settings import Settings
from tests.chaos.comparison import AGGREGATES, rows

PAUSE_SECONDS = 0.3
ANALYTICS = (
    "SELECT count() FROM fraiseql_events",
    *(f"SELECT sum(event_count) FROM fraiseql_{name}" for name in AGGREGATES),
)


class Watcher:
    """Counts events and aggregates of both planes during a `with` block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._most: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.looks = 0
        self.shrunk: list[str] = []
        """A description of every count that was lower than an earlier one."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            for statement in ANALYTICS:
                try:
                    self._note(statement, int(rows(self._settings, statement)[0]))
                except requests.RequestException:
                    continue  # Only answers count; a server that is down gives none.
            with suppress(requests.RequestException, KeyError):
                self._note("documents", self._documents())
            self.looks += 1
            time.sleep(PAUSE_SECONDS)

    def _documents(self) -> int:
        settings = self._settings
        url = f"{settings.elasticsearch_url.get_secret_value()}/{settings.index_prefix}-events"
        return requests.get(f"{url}/_count", timeout=5).json()["count"]

    def _note(self, what: str, count: int) -> None:
        most = self._most.get(what, 0)
        if count < most:
            self.shrunk.append(f"a reader saw {count} after {most}: {what}")
        self._most[what] = max(most, count)
