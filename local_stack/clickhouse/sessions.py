"""Sessions that clients keep for several requests, by `session_id`."""

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from local_stack.clickhouse.engine import Engine, EngineSession, quoted
from local_stack.clickhouse.errors import refusal

DEFAULT_SECONDS, MOST_SECONDS = 60.0, 3600.0
BUSY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Keep:
    """What a request says about its session."""

    name: str
    seconds: float = DEFAULT_SECONDS
    must_exist: bool = False


class _Kept:
    """A kept session. A setting that a request overrode is restored when the next request does not
    override it, because clients usually send the same settings with every request."""

    def __init__(self, session: EngineSession) -> None:
        self.session = session
        self.until = 0.0
        self.busy = threading.Lock()
        self._own_database: str | None = None
        self._own_values: dict[str, str] = {}

    def prepare(self, database: str | None, settings: Mapping[str, str]) -> None:
        """Restores what the last request overrode, and applies what this one overrides."""
        if database and self._own_database is None:
            self._own_database = self.session.query("SELECT currentDatabase()")[0].decode().strip()
        elif not database and self._own_database is not None:
            self.session.use(self._own_database)
            self._own_database = None
        for name in [name for name in self._own_values if name not in settings]:
            self.session.query(f"SET {name} = {self._own_values.pop(name)}")
        self._own_values |= _values(self.session, settings.keys() - self._own_values.keys())
        _prepare(self.session, database, settings)


class Sessions:
    """Gives each request a session: a new one, or a kept one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    @contextmanager
    def borrow(
        self, keep: Keep | None, database: str | None, settings: Mapping[str, str]
    ) -> Iterator[EngineSession]:
        """A session with a request's database and settings, which apply to that request only.

        Raises:
            QueryError: no such session, database or setting, or another request is in the session.
        """
        if keep is None:
            session = self._engine.open()
            try:
                _prepare(session, database, settings)
                yield session
            finally:
                session.close()
            return
        kept = self._take(keep)
        try:
            kept.prepare(database, settings)
            yield kept.session
        finally:
            kept.until = time.monotonic() + keep.seconds
            kept.busy.release()

    def close(self) -> None:
        """Closes all kept sessions."""
        with self._lock:
            for kept in self._kept.values():
                kept.session.close()
            self._kept.clear()

    def _take(self, keep: Keep) -> _Kept:
        with self._lock:
            self._drop_old()
            kept = self._kept.get(keep.name)
            if kept is None:
                if keep.must_exist:
                    raise refusal(372, "SESSION_NOT_FOUND", f"Session {keep.name} not found")
                kept = self._kept[keep.name] = _Kept(self._engine.open())
            kept.until = inf
        # A client that cancelled a result may send a request before the query has ended.
        if not kept.busy.acquire(timeout=BUSY_SECONDS):
            raise refusal(
                373, "SESSION_IS_LOCKED", f"Session {keep.name} is locked by a concurrent client"
            )
        return kept

    def _drop_old(self) -> None:
        now = time.monotonic()
        for name, kept in list(self._kept.items()):
            if kept.until < now and kept.busy.acquire(blocking=False):
                del self._kept[name]
                kept.session.close()


def _prepare(session: EngineSession, database: str | None, settings: Mapping[str, str]) -> None:
    if database:
        session.use(database)
    session.set(settings)


def _values(session: EngineSession, names: Iterable[str]) -> dict[str, str]:
    """The values of these settings, as SET accepts them. Parameters are left out."""
    listed = ", ".join(quoted(name) for name in names if not name.startswith("param_"))
    if not listed:
        return {}
    found, _ = session.query(
        f"SELECT name, value, changed FROM system.settings WHERE name IN ({listed})",
        "JSONCompactEachRow",
    )
    rows = map(json.loads, found.splitlines())
    return {name: quoted(value) if changed else "DEFAULT" for name, value, changed in rows}
