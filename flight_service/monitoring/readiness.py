"""Whether the service can do its work: the state of each server that it reads from.

The service stays useful while one of them is down, so it stays ready. It is not ready while it
stops, while all servers are down, and while a server in `FRAISEQL_READY_REQUIRES` is down.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from flight_service.errors import ServiceError, as_flight_error, sentence_of
from flight_service.graphql.service import GraphQL
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Dependency, Settings
from fraiseql_assets.setup import PLANES, open_plane
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.stream.log import Log

FRESH_SECONDS = 3.0
"""How long states are cached."""

State = Literal["up", "down", "off"]


@dataclass(frozen=True, slots=True)
class DependencyState:
    """The state of one server."""

    state: State
    error: str | None = None
    """Why it is down."""


Probe = Callable[[], None]
"""Tests a server. Raises an error with the reason if it does not answer."""


class Readiness:
    """The states of the servers, tested on request. Thread-safe."""

    def __init__(
        self,
        probes: Mapping[Dependency, Probe | None],
        *,
        requires: frozenset[Dependency] = frozenset(),
        wait_seconds: float,
    ) -> None:
        """A dependency without a probe is off. A server that has not answered after `wait_seconds`
        is down."""
        self._probes, self._requires, self._wait_seconds = probes, requires, wait_seconds
        self._lock = threading.Lock()
        self._found: dict[Dependency, DependencyState] = {}
        self._asked_at = float("-inf")
        self.is_stopping = False
        """Set when the service takes no new calls."""

    def states(self) -> Mapping[Dependency, DependencyState]:
        """The state of each dependency, at most three seconds old."""
        with self._lock:
            if time.monotonic() - self._asked_at >= FRESH_SECONDS:
                self._found = self._asked()
                self._asked_at = time.monotonic()
            return self._found

    def is_ready(self, states: Mapping[Dependency, DependencyState]) -> bool:
        """Whether a service with these states is ready for calls."""
        if self.is_stopping or any(states[name].state != "up" for name in self._requires):
            return False
        used = [found.state for found in states.values() if found.state != "off"]
        return not used or "up" in used

    def describe(
        self, states: Mapping[Dependency, DependencyState], *, reasons: bool
    ) -> dict[str, Any]:
        """The states as JSON values; with `reasons`, also why a server is down."""
        status = "stopping" if self.is_stopping else "ready" if self.is_ready(states) else "unready"
        return {
            "status": status,
            "dependencies": {
                name: {
                    "state": found.state,
                    **({"error": found.error} if reasons and found.error else {}),
                }
                for name, found in states.items()
            },
        }

    def _asked(self) -> dict[Dependency, DependencyState]:
        late = f"It has not answered within {self._wait_seconds:g} seconds."
        found: dict[Dependency, DependencyState] = {
            name: DependencyState("off") if probe is None else DependencyState("down", late)
            for name, probe in self._probes.items()
        }
        results: dict[Dependency, DependencyState] = {}

        def ask(name: Dependency, probe: Probe) -> None:
            try:
                probe()
            except (PlaneError, LogError, ServiceError) as error:
                results[name] = DependencyState("down", str(error))
            except Exception as error:
                results[name] = DependencyState("down", sentence_of(as_flight_error(error)))
            else:
                results[name] = DependencyState("up")

        threads = [
            threading.Thread(target=ask, args=(name, probe), name=f"probe {name}", daemon=True)
            for name, probe in self._probes.items()
            if probe
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + self._wait_seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return found | results


def readiness(settings: Settings, probes: Mapping[Dependency, Probe | None]) -> Readiness:
    """The readiness of a service with these settings."""
    return Readiness(
        probes,
        requires=frozenset(settings.ready_requires),
        # One second more than the timeout of a probe.
        wait_seconds=settings.probe_timeout_seconds + 1,
    )


def probes_of(settings: Settings, graphql: GraphQL) -> dict[Dependency, Probe | None]:
    """The probes of the log, of enabled planes, and of PostgreSQL if it serves GraphQL queries."""
    probes: dict[Dependency, Probe | None] = {"log": partial(_ask_log, settings)}
    for name in PLANES:
        probes[name] = partial(_ask_plane, settings, name) if settings.has_plane(name) else None
    reads_database = settings.schema_path is not None and not graphql.forwards
    probes["database"] = graphql.postgres.database.probe if reads_database else None
    return probes


def _ask_log(settings: Settings) -> None:
    with Log(settings, name="fraiseql readiness") as log:
        log.bounds()


def _ask_plane(settings: Settings, name: str) -> None:
    plane = open_plane(name, settings)
    try:
        plane.ping()
    finally:
        plane.close()
