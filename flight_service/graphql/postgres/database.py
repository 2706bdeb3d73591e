"""Read-only transactions on PostgreSQL: streams of Arrow batches that can be cancelled.

A statement is streamed with COPY, which has no parameters. Its values are bound to settings of the
transaction first (see `postgres.sql`). A connection whose statement was cancelled is closed, since
the cancellation may arrive after the statement has ended.
"""

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from types import TracebackType

import adbc_driver_manager
import msgspec
import pyarrow as pa

from flight_service.graphql.errors import Cancelled, GraphQLFailure, SnapshotGone
from flight_service.graphql.postgres.connection_shares import Use
from flight_service.graphql.postgres.driver import (
    READ_BYTES,
    DriverError,
    execute,
    executed,
    table,
    traced,
)
from flight_service.graphql.postgres.pool import ConnectionPool, Lease, PoolLimits, PoolUsage
from flight_service.graphql.postgres.sql import literal
from flight_service.graphql.postgres.sqlstates import failure_of, state_of
from flight_service.graphql.postgres.stalled_streams import Pause, Stalls
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.tracing import span

BEGIN = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
SNAPSHOT_STATES = ("42704", "22023", "55000")
"""The SQLSTATEs of a snapshot that is no longer exported."""
SET_VALUES = "SELECT count(set_config(key, value, true)) FROM jsonb_each_text($1::jsonb)"


class Database:
    """A PostgreSQL database. Thread-safe; connects when it is first used."""

    def __init__(
        self,
        uri: str,
        *,
        limits: PoolLimits,
        timeout_seconds: float,
        connect_seconds: float,
        stall_seconds: float,
    ) -> None:
        """A statement may run for `timeout_seconds`. The server accepts a new connection within
        `connect_seconds`. A stream that is not read for `stall_seconds` is cancelled."""
        self._timeout = timeout_seconds
        self._stalls = Stalls(stall_seconds)
        self._pool = ConnectionPool(uri, limits, connect_seconds=connect_seconds)

    @property
    def for_reader(self) -> int:
        """How many large results one principal may read at once."""
        return self._pool.shares.for_reader

    def ask(self, sql: str, values: Sequence[str]) -> pa.Table:
        """Runs a statement with few rows and bound parameters.

        Raises:
            DatabaseFailed: PostgreSQL cannot be reached or refuses it.
        """
        with self.transaction({}) as transaction:
            return transaction.table(sql, values)

    def transaction(
        self,
        settings: Mapping[str, str],
        cancellation: Cancellation | None = None,
        snapshot: str | None = None,
        *,
        large: bool = False,
        reader: Hashable | None = None,
    ) -> "Transaction":
        """A read-only transaction over one snapshot, with its own settings, as a context manager.
        The snapshot is its own, or one that another transaction exports. Transactions with `large`
        use at most half of the connections, and those of one `reader` half of that half; see
        `connection_shares.Shares`.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or all connections stay busy.
            SnapshotGone: the snapshot is no longer exported.
        """
        return Transaction(
            self._pool,
            self._stalls,
            settings,
            cancellation,
            self._timeout,
            snapshot,
            Use(large, reader),
        )

    def probe(self) -> None:
        """Connects once more, and returns if PostgreSQL answers.

        Raises:
            DatabaseUnavailable: it does not.
        """
        self._pool.probe()

    def usage(self) -> PoolUsage:
        """How its connections are used now."""
        return self._pool.usage()

    def close(self) -> None:
        """Closes idle connections. Others are closed when their transactions end."""
        self._pool.close()
        self._stalls.close()


class Transaction:
    """A transaction on a connection of the pool."""

    def __init__(
        self,
        pool: ConnectionPool,
        stalls: Stalls,
        settings: Mapping[str, str],
        cancellation: Cancellation | None,
        timeout_seconds: float,
        snapshot: str | None = None,
        use: Use = Use(),  # noqa: B008 (it is immutable)
    ) -> None:
        self._pool = pool
        self._stalls = stalls
        self._use = use
        self._snapshot = snapshot
        self._settings = {"statement_timeout": f"{int(timeout_seconds * 1000)}", **settings}
        self._timeout = timeout_seconds
        self._cancellation = cancellation
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._is_cancelled = False
        self._is_cancelling = False
        self._began = 0.0
        self._pause: Pause | None = None

    def __enter__(self) -> "Transaction":
        self._lease = self._pool.acquire(self._use)
        if self._cancellation is not None and self._cancellation.over:
            self._release(usable=True)
            raise Cancelled("The client disconnected while it waited for a connection.")
        try:
            execute(self._own, BEGIN)
            if self._snapshot is not None:
                self._import_snapshot(self._snapshot)
            self.set({**traced(), **self._settings})
        except BaseException as error:
            failure = self._failure(error) if isinstance(error, DriverError) else error
            self._release(usable=False)
            raise failure from error
        if self._cancellation is not None:
            self._cancellation.then(self.cancel)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        usable = not self._is_cancelled and self._lease is not None
        if usable:
            try:
                execute(self._own, "COMMIT" if error is None else "ROLLBACK")
            except DriverError:
                usable = False
        self._release(usable=usable)

    def _import_snapshot(self, snapshot: str) -> None:
        """Imports another transaction's snapshot, before anything has been read."""
        try:
            execute(self._own, f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
        except DriverError as error:
            if state_of(error) in SNAPSHOT_STATES:
                raise SnapshotGone from error
            raise

    def set(self, settings: Mapping[str, str]) -> None:
        """Binds settings for the rest of the transaction."""
        self.table(SET_VALUES, [msgspec.json.encode(settings).decode()])

    def explained(self, sql: str, values: Sequence[str]) -> str:
        """PostgreSQL's plan of a statement, as JSON. The relations that it reads cannot be
        rewritten until the transaction ends."""
        self._bind(values)
        return self.table(f"EXPLAIN (FORMAT JSON) {sql}", copy=False)[0][0].as_py()

    def table(self, sql: str, values: Sequence[str] = (), *, copy: bool = True) -> pa.Table:
        """Runs a statement with few rows."""
        self._began = monotonic()
        try:
            return table(self._own, sql, values, copy=copy)
        except DriverError as error:
            raise self._failure(error) from error

    def batches(self, sql: str, values: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """Streams a statement's rows. Closing the iterator cancels the statement.

        Raises:
            StreamStalled: it was not read for too long and has been cancelled.
        """
        self._bind(values)
        statement = adbc_driver_manager.AdbcStatement(self._own)
        self._pause = pause = Pause(lambda: self._abandon(statement))
        has_ended = False
        self._began = monotonic()
        try:
            statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": f"{READ_BYTES}"})
            statement.set_sql_query(sql)
            self._raise_if_cancelled()
            with span("PostgreSQL", system="postgresql", statement=sql):
                for batch in executed(statement):
                    with self._stalls.paused(pause):
                        yield batch
            has_ended = True
        except DriverError as error:
            has_ended = True
            raise self._failure(error) from error
        finally:
            if not pause.is_abandoned:
                if not has_ended:
                    self.cancel()
                statement.close()

    def _abandon(self, statement: adbc_driver_manager.AdbcStatement) -> None:
        """Cancels a stream that is not read, and releases its connection. Runs in another
        thread."""
        self.cancel()
        statement.close()
        self._release(usable=False)

    def _bind(self, values: Sequence[str]) -> None:
        if values:
            self.set({f"fraiseql.p{n}": value for n, value in enumerate(values, 1)})

    @contextmanager
    def another(self) -> Iterator["Transaction"]:
        """Another transaction with the same settings, to examine what this one reads."""
        other = Transaction(
            self._pool, self._stalls, self._settings, self._cancellation, self._timeout
        )
        with self._stalls.working(self._pause), other:
            yield other

    def cancel(self) -> None:
        """Cancels the statement, from any thread. The connection is closed afterwards.

        No lock is held during the request to the server. If the transaction ends before the server
        has answered, this thread releases the connection.
        """
        with self._lock:
            if self._lease is None or self._is_cancelled:
                return
            self._is_cancelled = self._is_cancelling = True
            lease = self._lease
        # If the request fails, closing the connection ends the statement.
        with suppress(*DriverError):
            lease.adbc.cancel()
        with self._lock:
            self._is_cancelling = False
            is_released = self._lease is None
        if is_released:
            lease.release(usable=False)

    @property
    def _own(self) -> adbc_driver_manager.AdbcConnection:
        assert self._lease is not None, "within the transaction"
        return self._lease.adbc

    def _raise_if_cancelled(self) -> None:
        if self._is_cancelled:
            raise Cancelled("The client has disconnected.")

    def _release(self, *, usable: bool) -> None:
        with self._lock:
            lease, self._lease = self._lease, None
            is_mine = not self._is_cancelling
        if lease is not None and is_mine:
            lease.release(usable=usable)

    def _failure(self, error: BaseException) -> GraphQLFailure:
        return failure_of(
            error,
            is_cancelled=self._is_cancelled,
            is_late=monotonic() - self._began >= self._timeout,
            timeout_seconds=self._timeout,
        )
