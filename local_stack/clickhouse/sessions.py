"""The sessions that clients keep over several requests, by `session_id`."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from local_stack.clickhouse.engine import Engine, EngineSession, quoted
from local_stack.clickhouse.errors import refusal

DEFAULT_SECONDS, MOST_SECONDS = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Keep:
    """What a request says of its session."""

    name: str
    seconds: float = DEFAULT_SECONDS
    must_exist: bool = False


@dataclass(slots=True)
class _Kept:
    session: EngineSession
    until: float = 0.0
    busy: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """A session for each request: one of its own, or one that was kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    @contextmanager
    def borrow(
        self, keep: Keep | None, database: str | None, settings: Mapping[str, str]
    ) -> Iterator[EngineSession]:
        """A session with a request's database and settings, which hold for that request alone.

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
            before = _overridden(kept.session, settings)
            usual = kept.session.query("SELECT currentDatabase()")[0].decode().strip()
            _prepare(kept.session, database, settings)
            try:
                yield kept.session
            finally:
                if database and database != usual:
                    kept.session.use(usual)
                for name, value in before.items():
                    kept.session.query(f"SET {name} = {value}")
        finally:
            kept.until = time.monotonic() + keep.seconds
            kept.busy.release()

    def close(self) -> None:
        """Ends the sessions that are kept."""
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
            if not kept.busy.acquire(blocking=False):
                raise refusal(
                    373,
                    "SESSION_IS_LOCKED",
                    f"Session {keep.name} is locked by a concurrent client",
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


def _overridden(session: EngineSession, settings: Mapping[str, str]) -> dict[str, str]:
    """What to set the settings to again when the request is over."""
    names = [name for name in settings if not name.startswith("param_")]
    if not names:
        return {}
    listed = ", ".join(quoted(name) for name in names)
    found, _ = session.query(
        f"SELECT name, if(changed, quoteString(value), 'DEFAULT') FROM system.settings "
        f"WHERE name IN ({listed})",
        "TSVRaw",
    )
    return dict(line.split("\t", 1) for line in found.decode().splitlines())
