"""PostgreSQL through ADBC: a small pool, read-only transactions, streams that can be stopped.

A statement is streamed with COPY, which takes no parameters: its values are bound into settings of
the transaction first (see `postgres.sql`). A connection whose statement was stopped
half-way is closed rather than used again, since the cancellation may still be on its way.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Protocol

import adbc_driver_manager
import adbc_driver_postgresql
import msgspec
import pyarrow as pa

from flight_service.graphql.errors import (
    Cancelled,
    DatabaseFailed,
    DatabaseUnavailable,
    DeadlinePassed,
    SnapshotGone,
)
from flight_service.graphql.postgres.sql import literal

READ_BYTES = 2**20
"""About how much of a result is turned into a batch at once."""
SESSION = (
    "SET TimeZone = 'UTC'",
    "SET standard_conforming_strings = on",
    "SET default_transaction_read_only = on",
)
BEGIN = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
NO_SUCH_SNAPSHOT = ("42704", "22023", "55000")
SET_VALUES = "SELECT count(set_config(key, value, true)) FROM jsonb_each_text($1::jsonb)"
MESSAGE = re.compile(r"(?:ERROR|FATAL): +(?P<text>.*?)\s*(?:\n|$)")
STATE = re.compile(r"SQLSTATE: ([0-9A-Z]{5})")

DriverError = (adbc_driver_manager.Error, OSError, pa.ArrowException)


class Ending(Protocol):
    """Tells that a result is not wanted any more; see `cancellation.Cancellation`."""

    @property
    def over(self) -> bool: ...

    def then(self, act: "Act") -> None: ...


class Act(Protocol):
    def __call__(self) -> None: ...


class BadValue(DatabaseFailed):
    """A value could not be read as the type that it was cast to."""


class Database:
    """The pool. Thread-safe; connects when first asked."""

    def __init__(
        self, uri: str, *, connections: int, timeout_seconds: float, patience_seconds: float
    ) -> None:
        self._uri = uri
        self._connections = connections
        self._timeout = timeout_seconds
        self._patience = patience_seconds
        self._free = threading.Semaphore(connections)
        self._free_for_large = threading.Semaphore(max(1, connections // 2))
        self._lock = threading.Lock()
        self._idle: list[adbc_driver_manager.AdbcConnection] = []
        self._database: adbc_driver_manager.AdbcDatabase | None = None

    def ask(self, sql: str, values: Sequence[str]) -> pa.Table:
        """Runs a statement of few rows, its `$1` and so on bound.

        Raises:
            DatabaseFailed: PostgreSQL cannot be reached or refuses it.
        """
        with self.transaction({}) as transaction:
            return transaction.table(sql, values)

    def transaction(
        self,
        settings: Mapping[str, str],
        ending: Ending | None = None,
        snapshot: str | None = None,
        *,
        large: bool = False,
    ) -> "Transaction":
        """A read-only transaction over one snapshot, with settings of its own, as a context.
        The snapshot is its own, or one that another transaction exports and still holds. Those
        that are said to be `large` take at most half of the connections, so that small ones do
        not wait for them.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, or all connections stay busy.
            SnapshotGone: the snapshot is held no more.
        """
        return Transaction(self, settings, ending, self._timeout, snapshot, large)

    def close(self) -> None:
        """Closes the connections that are idle; those in use are closed as they come back."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._connections = 0
        for connection in idle:
            connection.close()

    def acquire(self, *, large: bool = False) -> adbc_driver_manager.AdbcConnection:
        deadline = monotonic() + self._patience
        taken: list[threading.Semaphore] = []
        for one in (self._free_for_large, self._free) if large else (self._free,):
            if not one.acquire(timeout=max(0.0, deadline - monotonic())):
                self._free_all(taken)
                raise DatabaseUnavailable(
                    f"All {self._connections} connections, or the half of them that large results "
                    f"may take, have been busy for {self._patience:g} s. Try again, or raise "
                    "FRAISEQL_GRAPHQL_CONNECTIONS."
                )
            taken.append(one)
        try:
            with self._lock:
                if self._idle:
                    return self._idle.pop()
                if self._database is None:
                    self._database = adbc_driver_postgresql.connect(self._uri)
            connection = adbc_driver_manager.AdbcConnection(self._database)
            for statement in SESSION:
                execute(connection, statement)
            return connection
        except BaseException as error:
            self._free_all(taken)
            if isinstance(error, DriverError):
                raise DatabaseUnavailable(
                    f"PostgreSQL cannot be reached: {_sentence(error)} "
                    "FRAISEQL_DATABASE_URL says where it is."
                ) from error
            raise

    def release(
        self,
        connection: adbc_driver_manager.AdbcConnection,
        *,
        usable: bool,
        large: bool = False,
    ) -> None:
        with self._lock:
            keep = usable and len(self._idle) < self._connections
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()
        self._free_all([self._free, self._free_for_large] if large else [self._free])

    def _free_all(self, taken: Sequence[threading.Semaphore]) -> None:
        for one in taken:
            one.release()


class Transaction:
    """One transaction on one connection of the pool."""

    def __init__(
        self,
        database: Database,
        settings: Mapping[str, str],
        ending: Ending | None,
        timeout_seconds: float,
        snapshot: str | None = None,
        large: bool = False,
    ) -> None:
        self._database = database
        self._large = large
        self._snapshot = snapshot
        self._settings = {"statement_timeout": f"{int(timeout_seconds * 1000)}", **settings}
        self._timeout = timeout_seconds
        self._ending = ending
        self._lock = threading.Lock()
        self._connection: adbc_driver_manager.AdbcConnection | None = None
        self._stopped = False
        self._reading = False

    def __enter__(self) -> "Transaction":
        self._connection = self._database.acquire(large=self._large)
        if self._ending is not None and self._ending.over:
            self._leave(usable=True)
            raise Cancelled("The client went away while it waited for a connection.")
        try:
            execute(self._connection, BEGIN)
            if self._snapshot is not None:
                self._take(self._snapshot)
            self.set(self._settings)
        except BaseException as error:
            self._leave(usable=False)
            if isinstance(error, DriverError):
                raise self._translated(error) from error
            raise
        if self._ending is not None:
            self._ending.then(self.stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        usable = not self._stopped
        if usable:
            try:
                execute(self._own, "COMMIT" if error is None else "ROLLBACK")
            except DriverError:
                usable = False
        self._leave(usable=usable)

    def _take(self, snapshot: str) -> None:
        """Goes over to another transaction's snapshot, before anything has been read."""
        try:
            execute(self._own, f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
        except DriverError as error:
            if getattr(error, "sqlstate", None) in NO_SUCH_SNAPSHOT:
                raise SnapshotGone from error
            raise

    def set(self, settings: Mapping[str, str]) -> None:
        """Binds settings for the rest of the transaction."""
        self.table(SET_VALUES, [msgspec.json.encode(settings).decode()])

    def explained(self, sql: str, values: Sequence[str]) -> str:
        """PostgreSQL's plan of a statement that is streamed, as JSON. The relations that it reads
        are locked against rewriting until the transaction ends."""
        self._bind(values)
        return self.table(f"EXPLAIN (FORMAT JSON) {sql}", copy=False)[0][0].as_py()

    def table(self, sql: str, values: Sequence[str] = (), *, copy: bool = True) -> pa.Table:
        """Runs a statement of few rows."""
        try:
            statement = adbc_driver_manager.AdbcStatement(self._own)
            try:
                if not copy:
                    statement.set_options(**{"adbc.postgresql.use_copy": "false"})
                statement.set_sql_query(sql)
                if values:
                    names = [f"p{n}" for n in range(len(values))]
                    columns = [pa.array([value], pa.string()) for value in values]
                    statement.bind(pa.record_batch(columns, names))
                handle, _ = statement.execute_query()
                return pa.RecordBatchReader.from_stream(handle).read_all()
            finally:
                statement.close()
        except DriverError as error:
            raise self._translated(error) from error

    def batches(self, sql: str, values: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """Streams a statement's rows. Closing the iterator stops the statement."""
        self._bind(values)
        statement = adbc_driver_manager.AdbcStatement(self._own)
        whole = False
        try:
            statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": f"{READ_BYTES}"})
            statement.set_sql_query(sql)
            self._raise_if_stopped()
            handle, _ = statement.execute_query()
            reader = pa.RecordBatchReader.from_stream(handle)
            yield from reader
            whole = True
        except DriverError as error:
            whole = True
            raise self._translated(error) from error
        finally:
            if not whole:
                self.stop()
            statement.close()

    def _bind(self, values: Sequence[str]) -> None:
        if values:
            self.set({f"fraiseql.p{n}": value for n, value in enumerate(values, 1)})

    def another(self) -> "Transaction":
        """A second transaction with the same settings, for looking into what this one reads."""
        return Transaction(self._database, self._settings, self._ending, self._timeout)

    def stop(self) -> None:
        """Stops what runs, from any thread; the connection is not used again."""
        with self._lock:
            if self._connection is None or self._stopped:
                return
            self._stopped = True
            # Where PostgreSQL does not hear of it, closing the connection ends the statement.
            with suppress(*DriverError):
                self._connection.cancel()

    @property
    def _own(self) -> adbc_driver_manager.AdbcConnection:
        assert self._connection is not None, "within the transaction"
        return self._connection

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            raise Cancelled("The client went away.")

    def _leave(self, *, usable: bool) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            self._database.release(connection, usable=usable, large=self._large)

    def _translated(self, error: BaseException) -> Exception:
        """What PostgreSQL said, as a sentence of ours."""
        text, state = str(error), getattr(error, "sqlstate", None)
        state = state or next(iter(STATE.findall(text)), "")
        sentence = _sentence(error)
        if self._stopped:
            return Cancelled("The client went away before the result was whole.")
        if "statement timeout" in text:
            return DeadlinePassed(
                f"The query ran longer than the {self._timeout:g} s that "
                "FRAISEQL_GRAPHQL_TIMEOUT_SECONDS allows. Narrow it, or raise the limit."
            )
        if state.startswith("22") or re.search(
            r"invalid input syntax|out of range|cannot cast jsonb|date/time field", text
        ):
            return BadValue(f"PostgreSQL cannot read a value: {sentence}")
        if state.startswith("08") or "server closed the connection" in text:
            return DatabaseUnavailable(f"The connection to PostgreSQL broke: {sentence}")
        if state == "42501" or "permission denied" in text:
            return DatabaseFailed(f"{sentence} Grant the service's role the right to SELECT.")
        return DatabaseFailed(f"PostgreSQL refused the query: {sentence}")


def execute(connection: adbc_driver_manager.AdbcConnection, sql: str) -> None:
    """Runs a statement that gives no rows."""
    statement = adbc_driver_manager.AdbcStatement(connection)
    try:
        statement.set_sql_query(sql)
        statement.execute_update()
    finally:
        statement.close()


def _sentence(error: BaseException) -> str:
    found = MESSAGE.search(str(error))
    text = found["text"] if found else str(error).strip().splitlines()[0]
    return text if text.endswith(".") else f"{text}."
