"""The compiled schema in use: read when first asked for, and again when its file changes."""

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import monotonic

from flight_service.graphql.errors import DatabaseFailed, SchemaInvalid, SchemaUnavailable
from flight_service.graphql.postgres.catalogue import Ask
from flight_service.graphql.schema.decoding import read
from flight_service.graphql.schema.graphql_schema import Schema, build_schema
from flight_service.graphql.sources.discovery import learn
from flight_service.graphql.sources.source import Sources

LOOK_SECONDS = 1.0
"""How old the last look at the file may be, and at what the database lacked."""
MOST_LOOK_SECONDS = 300.0
"""The longest wait before empty relations are looked at again, each wait twice the one before."""
logger = logging.getLogger(__name__)


@dataclass
class Loaded:
    """A compiled schema that is in use."""

    schema: Schema
    version: int
    """Counts the schemas that have been loaded, from 1."""
    loaded_at: datetime
    ask: Ask
    catalogue_version: int = 0
    """How often the catalogue has been read."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sources: Sources | None = None
    _read_at: float = 0.0
    _wait: float = LOOK_SECONDS

    def sources(self, query: str) -> Sources:
        """What the database has for it, read when first asked for.

        The catalogue is read again while it lacks what the query reads, at most once a second: a
        relation may be made at any time.

        Raises:
            DatabaseFailed: it cannot be asked.
        """
        known = self._sources
        if known is None:
            with self._lock:
                return self._sources or self._introspect()
        # Others go on with what is known while one asks the database again.
        if (
            query in known.missing
            and self._age >= LOOK_SECONDS
            and self._lock.acquire(blocking=False)
        ):
            try:
                return self._introspect()
            finally:
                self._lock.release()
        return known

    def settle(self) -> None:
        """Reads the catalogue again, ever more rarely, while some relation has no document that
        would tell under which keys its fields lie."""
        known = self._sources
        if known is None or not known.unsettled or self._age < self._wait:
            return
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._wait = min(2 * self._wait, MOST_LOOK_SECONDS)
            # What was known before stays, where the database cannot be asked.
            with suppress(DatabaseFailed):
                self._introspect()
        finally:
            self._lock.release()

    @property
    def _age(self) -> float:
        return monotonic() - self._read_at

    def _introspect(self) -> Sources:
        self._read_at = monotonic()
        self._sources = learn(self.schema, self.ask)
        self.catalogue_version += 1
        return self._sources

    @cached_property
    def claims(self) -> frozenset[str]:
        """The claims that some query injects."""
        return frozenset(
            injected.claim
            for query in self.schema.queries.values()
            for injected in query.inject_params.values()
        )


class SchemaRegistry:
    """Holds the schema of a file. Thread-safe.

    A file that cannot be used leaves the schema before it in use, and `problem` says why.
    """

    def __init__(self, path: Path | None, ask: Ask, *, is_enforced_here: bool = True) -> None:
        """A schema that is not enforced here but by a server behind may hold what only FraiseQL
        enforces."""
        self._path = path
        self._is_enforced_here = is_enforced_here
        self._ask = ask
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        self._looked = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self.problem: str | None = None

    def current(self) -> Loaded:
        """The schema in use; looks at the file, at most once a second.

        Raises:
            SchemaUnavailable: none has ever been read; with the reason.
        """
        with self._lock:
            now = monotonic()
            if now - self._looked >= LOOK_SECONDS:
                self._looked = now
                if (stamp := self._stamped()) != self._stamp or self._loaded is None:
                    self._stamp = stamp
                    self._read()
            if self._loaded is None:
                raise SchemaUnavailable(self.problem or "No compiled schema has been read.")
            return self._loaded

    def refresh(self) -> tuple[bool, str]:
        """Reads the file again, and asks the database again: whether it succeeded, and what now
        holds."""
        with self._lock:
            self._stamp = self._stamped()
            self._looked = monotonic()
            if self._read():
                assert self._loaded is not None
                queries = len(self._loaded.schema.queries)
                return True, f"Schema {self._loaded.version} is in use, with {queries} queries."
            kept = "" if self._loaded is None else f" Schema {self._loaded.version} stays in use."
            return False, f"{self.problem}{kept}"

    def _stamped(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return found and (found.st_mtime_ns, found.st_size, found.st_ino)

    def _read(self) -> bool:
        if self._path is None:
            self.problem = "There is no compiled schema: set FRAISEQL_SCHEMA to its path."
            return False
        try:
            schema = build_schema(read(self._path))
            if self._is_enforced_here:
                _refuse_unenforced(schema)
        except (SchemaInvalid, OSError) as error:
            self.problem = f"The compiled schema cannot be used: {error}"
            logger.warning("%s", self.problem)
            return False
        version = 1 if self._loaded is None else self._loaded.version + 1
        self._loaded = Loaded(schema, version, datetime.now(UTC), self._ask)
        self.problem = None
        return True


def _refuse_unenforced(schema: Schema) -> None:
    if found := schema.compiled.unenforced:
        raise SchemaInvalid(
            f"it protects data by {', '.join(found)}, which only FraiseQL enforces. Set "
            "FRAISEQL_GRAPHQL_URL, and no database, to have the FraiseQL server answer."
        )
