"""Large lists as several endpoints: parts of one result, each read from the same snapshot.

An offer holds nothing in the database, so the number of endpoints does not depend on other clients.
The first part that is read opens a transaction, which exports its snapshot and is held until every
part has been read or the offer has expired. If the maximum number of snapshots is held, in all or
by one principal, the part that is read first has all rows, and the others have none.

A part is a range of the places of a table's rows: every row is in exactly one part, see
`sources.ctid_ranges`. Since the held transaction has planned the whole statement, its relations are
locked against being rewritten, which would give rows other places.
"""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.graphql.errors import DatabaseFailed, NotAuthorised, SnapshotGone
from flight_service.graphql.execution.offers import Held, Offered, Offers
from flight_service.graphql.execution.reader import Reading, result_batches
from flight_service.graphql.execution.session import Session
from flight_service.graphql.planning.backend import Endpoints
from flight_service.graphql.planning.plan import RootStatement, StatementPlan
from flight_service.graphql.postgres.database import Database
from flight_service.graphql.postgres.pool import PoolUsage
from flight_service.graphql.postgres.sql import quoted_path
from flight_service.graphql.sources.ctid_ranges import CtidRange, divided
from fraiseql_assets.cancellation import Cancellation

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


class Snapshots:
    """Offers, and the snapshots that are held for them. Thread-safe."""

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
        self._offers = Offers()
        self._estimates: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def usage(self) -> PoolUsage:
        """How the connections of the snapshots are used now."""
        return self._database.usage()

    def offer(
        self,
        root: RootStatement,
        principal: Principal,
        session: Session,
        compile_part: Callable[[CtidRange | None], StatementPlan],
        size: int,
    ) -> Endpoints | None:
        """Offers a large result in parts; None for a result that has one endpoint. `size` is about
        how many bytes the plan takes.

        Asks the database only about tables and statements that it was not asked about lately.
        """
        if root.table is None or self._endpoints == 1:
            return None
        try:
            if self._size(root.table) < self._rows:
                return None
            rows = self._estimated(root, session.settings)
        except DatabaseFailed:
            # Reading the result tells the client what is wrong.
            return None
        if rows < self._rows:
            return None
        handle = secrets.token_urlsafe(18)
        offered = Offered(
            root,
            root.table,
            principal,
            session,
            compile_part,
            size,
            time.monotonic() + self._seconds,
            set(range(self._endpoints)),
        )
        self._offers.put(handle, offered)
        expires = datetime.now(UTC) + timedelta(seconds=self._seconds)
        return Endpoints(handle, self._endpoints, expires, rows)

    def part(
        self, handle: str, number: int, principal: Principal
    ) -> tuple[pa.Schema, Callable[[Cancellation | None], Iterator[pa.RecordBatch]]]:
        """The schema of a part, and what streams it.

        Raises:
            SnapshotGone: the offer has expired, or there was none.
            NotAuthorised: it was made to another principal.
        """
        offered = self._offers.get(handle)
        if offered is None:
            raise SnapshotGone
        if not 0 <= number < self._endpoints:
            raise SnapshotGone
        if _identity(offered.principal) != _identity(principal):
            raise NotAuthorised("This endpoint was offered to another principal.")
        return offered.root.result.schema, lambda cancellation: self._read(
            handle, offered, number, cancellation
        )

    def close(self) -> None:
        """Gives up every snapshot."""
        for handle in self._offers.handles:
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

    def _estimated(self, root: RootStatement, settings: Mapping[str, str]) -> int:
        # Statements may be long.
        key = hashlib.blake2b(root.sql.encode()).hexdigest()
        known = self._known(key, -1)
        if known >= 0:
            return known
        with self._reading.database.transaction(settings) as transaction:
            # The planner does not see the values, so this holds for all of them.
            rows = _estimate(transaction.explained(root.sql, root.values))
        return self._remember(key, rows)

    def _plan(
        self, handle: str, offered: Offered, number: int
    ) -> tuple[StatementPlan | None, str | None]:
        """The plan of a part, None for no rows, and the snapshot that it is read from."""
        with offered.lock:
            if offered.held is None and offered.whole is None:
                try:
                    self._hold(handle, offered)
                except DatabaseFailed:
                    offered.whole = number
            if offered.held is not None:
                return offered.held.plans[number], offered.held.snapshot
            return (offered.compile_part(None) if offered.whole == number else None), None

    def _hold(self, handle: str, offered: Offered) -> None:
        """Holds a snapshot for an offer.

        Raises:
            DatabaseFailed: all connections hold one, or PostgreSQL cannot be reached.
        """
        idle = {"idle_in_transaction_session_timeout": f"{int(self._seconds * 1000) + 5000}"}
        root = offered.root
        with ExitStack() as stack:
            transaction = stack.enter_context(
                self._database.transaction(
                    {**offered.session.settings, **idle}, large=True, reader=offered.session.reader
                )
            )
            transaction.explained(root.sql, root.values)
            [found] = transaction.table(EXPORT, [quoted_path(offered.table)]).to_pylist()
            plans = tuple(
                offered.compile_part(ctids) for ctids in divided(found["pages"], self._endpoints)
            )
            if any(one.statements[0].result != root.result for one in plans):
                # The catalogue was read again meanwhile.
                raise SnapshotGone
            left = max(0.0, offered.ends - time.monotonic())
            timer = threading.Timer(left, self._give_up, [handle])
            timer.daemon = True
            held = Held(stack.pop_all(), timer, found["snapshot"], plans)
            if not self._offers.hold(handle, held):
                held.transaction.close()
                raise SnapshotGone
        timer.start()

    def _read(
        self, handle: str, offered: Offered, number: int, cancellation: Cancellation | None
    ) -> Iterator[pa.RecordBatch]:
        plan, snapshot = self._plan(handle, offered, number)
        offered.rows[number] = 0
        if plan is not None:
            batches = result_batches(
                self._reading, plan, offered.session, None, cancellation, snapshot
            )
            with closing(batches):
                for batch in batches:
                    offered.rows[number] += batch.num_rows
                    rows = sum(offered.rows.copy().values())
                    self._reading.limit.check(rows, "The endpoints together have")
                    yield batch
        if self._offers.has_read(offered, number):
            self._give_up(handle)

    def _give_up(self, handle: str) -> None:
        offered = self._offers.take(handle)
        if offered is not None and offered.held is not None:
            offered.held.timer.cancel()
            offered.held.transaction.close()


def _identity(principal: Principal) -> tuple[Any, ...]:
    """What is the same in every token of a principal."""
    claims = {name: one for name, one in principal.claims.items() if name not in NAMES_NOBODY}
    return principal.subject, principal.tenant, principal.roles, principal.scopes, claims


def _estimate(plan: str) -> int:
    return int(msgspec.json.decode(plan)[0]["Plan"]["Plan Rows"])
