"""Large lists as several endpoints: parts of one result, each read from the same snapshot.

A transaction exports its snapshot and is held, on a connection of its own, until every part has
been read or the time is over. A part is a range of the places of a table's rows: every row is in
exactly one part, see `sources.ctid_ranges`. Since the held transaction has planned the
whole statement, its relations are locked against being rewritten, which would give rows other
places.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.graphql.errors import (
    DatabaseFailed,
    LimitExceeded,
    NotAuthorised,
    SnapshotGone,
)
from flight_service.graphql.execution.reader import Reading, result_batches
from flight_service.graphql.planning.plan import Plan, RootPlan
from flight_service.graphql.postgres.database import Database
from flight_service.graphql.postgres.pool import PoolUsage
from flight_service.graphql.postgres.sql import quoted_path
from flight_service.graphql.sources.ctid_ranges import Pages, divided

KNOWN_SECONDS = 60.0
"""How old an estimate may be."""
KNOWN = 512
NAMES_NOBODY = frozenset(("exp", "iat", "nbf", "jti"))
"""Claims that differ with each token of one principal."""
SIZE = """
SELECT (pages * CASE WHEN reltuples > 0 AND relpages > 0 THEN reltuples / relpages ELSE 100 END)
    ::int8 AS rows
FROM pg_class, pg_relation_size(oid) AS size,
    LATERAL (SELECT size / current_setting('block_size')::int AS pages) AS now
WHERE oid = to_regclass($1)
"""
"""About how many rows a table has, as PostgreSQL's planner counts them; where it was never
analysed, for rows of a usual width."""
EXPORT = """
SELECT pg_export_snapshot() AS snapshot,
    pg_relation_size(to_regclass($1)) / current_setting('block_size')::int AS pages
"""


@dataclass(frozen=True, slots=True)
class Offer:
    """A large result as several endpoints."""

    handle: str
    count: int
    expires: datetime
    rows: int
    """How many they are together, as PostgreSQL estimates."""


@dataclass
class _Held:
    """A snapshot that is held, and what may be read from it by whom."""

    transaction: ExitStack
    timer: threading.Timer
    snapshot: str
    principal: Principal
    settings: Mapping[str, str]
    plans: tuple[Plan, ...]
    unread: set[int]
    rows: dict[int, int] = field(default_factory=dict)


class Snapshots:
    """The snapshots that are held. Thread-safe."""

    def __init__(
        self,
        reading: Reading,
        database: Database,
        *,
        rows: int,
        endpoints: int,
        seconds: float,
    ) -> None:
        """`database` is a pool of its own, of as many connections as snapshots may be held."""
        self._reading = reading
        self._database = database
        self._rows = rows
        self._endpoints = endpoints
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._estimates: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def usage(self) -> PoolUsage:
        """How the connections of the snapshots are used now."""
        return self._database.usage()

    def offer(
        self,
        root: RootPlan,
        principal: Principal,
        settings: Mapping[str, str],
        compile_part: Callable[[Pages], Plan],
    ) -> Offer | None:
        """Holds a snapshot for a large result and divides it; None where it stays in one.

        Asks the database only about tables that are large, or that it was not asked about lately.
        """
        if root.table is None or self._endpoints == 1:
            return None
        try:
            if self._size(root.table) < self._rows:
                return None
            if self._known(root.sql, self._rows) < self._rows:
                return None
            return self._exported(root, root.table, principal, settings, compile_part)
        except DatabaseFailed:
            # All connections hold a snapshot, or reading will tell what is wrong.
            return None

    def part(
        self, handle: str, number: int, principal: Principal
    ) -> tuple[Plan, Callable[[Cancellation | None], Iterator[pa.RecordBatch]]]:
        """The plan of a part, and what streams it.

        Raises:
            SnapshotGone: nothing is held under the handle.
            NotAuthorised: it was another principal's.
        """
        with self._lock:
            held = self._held.get(handle)
        if held is None or not 0 <= number < len(held.plans):
            raise SnapshotGone
        if _identity(held.principal) != _identity(principal):
            raise NotAuthorised("This endpoint was offered to another principal.")
        return held.plans[number], lambda cancellation: self._read(
            handle, held, number, cancellation
        )

    def close(self) -> None:
        """Gives up every snapshot."""
        with self._lock:
            handles = list(self._held)
        for handle in handles:
            self._give_up(handle)
        self._database.close()

    def _size(self, table: str) -> int:
        known = self._known(table, -1)
        if known < 0:
            found = self._database.ask(SIZE, [quoted_path(table)])["rows"].to_pylist()
            known = self._remember(table, found[0] if found else 0)
        return known

    def _known(self, key: str, otherwise: int) -> int:
        with self._lock:
            at, rows = self._estimates.get(key, (0.0, 0))
        return rows if at and time.monotonic() - at < KNOWN_SECONDS else otherwise

    def _remember(self, key: str, rows: int) -> int:
        with self._lock:
            self._estimates[key] = time.monotonic(), rows
            while len(self._estimates) > KNOWN:
                self._estimates.popitem(last=False)
        return rows

    def _exported(
        self,
        root: RootPlan,
        table: str,
        principal: Principal,
        settings: Mapping[str, str],
        compile_part: Callable[[Pages], Plan],
    ) -> Offer | None:
        idle = {"idle_in_transaction_session_timeout": f"{int(self._seconds * 1000) + 5000}"}
        with ExitStack() as stack:
            transaction = stack.enter_context(self._database.transaction({**settings, **idle}))
            rows = _estimate(transaction.explained(root.sql, root.values))
            # The planner does not see the values, so this holds for all of them.
            if self._remember(root.sql, rows) < self._rows:
                return None
            [found] = transaction.table(EXPORT, [quoted_path(table)]).to_pylist()
            plans = tuple(compile_part(pages) for pages in divided(found["pages"], self._endpoints))
            if any(one.statements[0].schema != root.schema for one in plans):
                # The catalogue was read again meanwhile.
                return None
            handle = secrets.token_urlsafe(18)
            timer = threading.Timer(self._seconds, self._give_up, [handle])
            timer.daemon = True
            unread = set(range(len(plans)))
            held = _Held(
                stack.pop_all(), timer, found["snapshot"], principal, settings, plans, unread
            )
        with self._lock:
            self._held[handle] = held
        timer.start()
        expires = datetime.now(UTC) + timedelta(seconds=self._seconds)
        return Offer(handle, len(plans), expires, rows)

    def _read(
        self, handle: str, held: _Held, number: int, cancellation: Cancellation | None
    ) -> Iterator[pa.RecordBatch]:
        held.rows[number] = 0
        batches = result_batches(
            self._reading, held.plans[number], held.settings, None, cancellation, held.snapshot
        )
        with closing(batches):
            for batch in batches:
                held.rows[number] += batch.num_rows
                if sum(held.rows.copy().values()) > self._reading.max_rows:
                    most = self._reading.max_rows
                    raise LimitExceeded.of_rows("The endpoints together have", most)
                yield batch
        with self._lock:
            held.unread.discard(number)
            is_done = not held.unread
        if is_done:
            self._give_up(handle)

    def _give_up(self, handle: str) -> None:
        with self._lock:
            held = self._held.pop(handle, None)
        if held is not None:
            held.timer.cancel()
            held.transaction.close()


def _identity(principal: Principal) -> tuple[Any, ...]:
    """What is the same in every token of a principal."""
    claims = {name: one for name, one in principal.claims.items() if name not in NAMES_NOBODY}
    return principal.subject, principal.tenant, principal.roles, principal.scopes, claims


def _estimate(plan: str) -> int:
    return int(msgspec.json.decode(plan)[0]["Plan"]["Plan Rows"])
