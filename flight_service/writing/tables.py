"""Writes rows of a client to a table of PostgreSQL in one transaction.

They are copied into a temporary table while they arrive, and inserted from there at the end. COPY
alone would neither cast values nor apply row security, and would hold locks on the table for as
long as the client sends.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import adbc_driver_manager
import msgspec
import pyarrow as pa

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.errors import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    Forbidden,
    InvalidRequest,
    ServiceError,
)
from flight_service.graphql.errors import StreamStalled
from flight_service.graphql.execution.session import session_settings
from flight_service.graphql.postgres.connection_shares import Use
from flight_service.graphql.postgres.database import SET_VALUES
from flight_service.graphql.postgres.driver import DriverError, execute, table, traced
from flight_service.graphql.postgres.pool import ConnectionPool, Lease, PoolLimits
from flight_service.graphql.postgres.sqlstates import failure_of, is_broken, message_of, state_of
from flight_service.graphql.postgres.stalled_streams import Pause, Stalls
from flight_service.graphql.schema.security import SessionVariables
from flight_service.graphql.service import GraphQL
from flight_service.writing.sink import Receipt, Stored
from flight_service.writing.table_catalogue import Table, read_table
from flight_service.writing.table_columns import TableColumns
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings
from fraiseql_assets.tracing import span

BEGIN = "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"
STAGED = "fraiseql_upload"
STAGED_SQL = f"pg_temp.{STAGED}"
OF_THE_ROWS = ("21", "22", "23", "42", "44", "P0")
"""The SQLSTATE classes of errors that the rows cause."""
NOT_PERMITTED = "42501"


class UploadStalled(ServiceError):
    """The client did not send anything for too long."""

    status = DEADLINE_EXCEEDED


class UploadCancelled(ServiceError):
    """The client has disconnected, or the service stops."""

    status = CANCELLED


class Tables:
    """Opens tables for uploads. Thread-safe; connects on first use."""

    def __init__(self, settings: Settings, graphql: GraphQL) -> None:
        self._graphql = graphql
        self._has_schema = settings.schema_path is not None
        self._timeout = settings.graphql_timeout_seconds
        self._stall_seconds = settings.graphql_stall_seconds
        self._stalls = Stalls(self._stall_seconds)
        self._pool = ConnectionPool(
            settings.database_url.get_secret_value(),
            PoolLimits(
                settings.upload_connections,
                settings.graphql_wait_seconds,
                setting="FRAISEQL_UPLOAD_CONNECTIONS",
            ),
            connect_seconds=settings.probe_timeout_seconds,
        )

    def open(
        self, name: str, principal: Principal, on_stored: Stored, cancellation: Cancellation
    ) -> "TableSink":
        """A sink for a table; see `flight_service.writing.service.Open`."""
        found = read_table(self._graphql.postgres.database.ask, name)
        columns = TableColumns(found, tenant_of(principal))
        columns.check()
        settings = self._settings(principal)
        return TableSink(self._pool, self._stalls, columns, settings, cancellation, self._timeout)

    def close(self) -> None:
        """Closes idle connections."""
        self._pool.close()
        self._stalls.close()

    def _settings(self, principal: Principal) -> Mapping[str, str]:
        """The settings of the transaction, the same as for queries of the principal."""
        variables = SessionVariables()
        if self._has_schema:
            variables = self._graphql.registry.current().schema.compiled.session_variables
        timeout = f"{int(self._timeout * 1000)}"
        return {"statement_timeout": timeout, **session_settings(variables, principal)}


class TableSink:
    """See `flight_service.writing.sink.Sink`."""

    def __init__(
        self,
        pool: ConnectionPool,
        stalls: Stalls,
        columns: TableColumns,
        settings: Mapping[str, str],
        cancellation: Cancellation,
        timeout_seconds: float,
    ) -> None:
        self._pool, self._stalls = pool, stalls
        self._timeout = timeout_seconds
        self._columns, self._settings = columns, settings
        self._cancellation = cancellation
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._pause = Pause(lambda: self._release(usable=False))
        self._is_cancelled = False
        self._is_committing = False
        self._schema: pa.Schema | None = None
        self._rows = self._batches = 0

    def write(self, batch: pa.RecordBatch) -> None:
        fitted = self._columns.fit(batch)
        if self._lease is None:
            self._begin()
        with self._failures():
            self._copy(fitted, is_first=self._schema is None)
        self._schema = batch.schema
        self._rows += batch.num_rows
        self._batches += 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        if self._lease is None:
            yield
            return
        try:
            with self._stalls.paused(self._pause):
                yield
        except StreamStalled as error:
            raise UploadStalled(
                "The client sent nothing for as long as FRAISEQL_GRAPHQL_STALL_SECONDS allows."
            ) from error

    def finish(self, has_gone: Callable[[], bool]) -> Receipt:
        if self._schema is not None:
            statement = self._columns.insertion(self._schema, STAGED_SQL)
            with self._failures(), span("PostgreSQL", system="postgresql", statement=statement):
                execute(self._own, statement)
                execute(self._own, f"DROP TABLE {STAGED_SQL}")
                if has_gone():
                    raise UploadCancelled("The client disconnected before the rows were written.")
                self._is_committing = True
                execute(self._own, "COMMIT")
            self._release(usable=True)
        return Receipt(table=self._columns.table.name, batches=self._batches, rows=self._rows)

    def abandon(self) -> str:
        self._release(usable=False)
        if self._is_committing:
            return (
                "It is not known whether the rows were written, since the connection broke during "
                "the COMMIT. Look before you send them again."
            )
        return "Nothing was written: a stream is one transaction."

    @property
    def _own(self) -> adbc_driver_manager.AdbcConnection:
        with self._lock:
            if self._lease is None:
                raise UploadCancelled("The upload was cancelled.")
            return self._lease.adbc

    def _begin(self) -> None:
        self._lease = self._pool.acquire(Use())
        self._cancellation.then(self._cancel)
        with self._failures():
            execute(self._own, BEGIN)
            settings = {**traced(), **self._settings}
            table(self._own, SET_VALUES, [msgspec.json.encode(settings).decode()])

    def _copy(self, rows: pa.RecordBatch, *, is_first: bool) -> None:
        """Copies rows into the temporary table, which the first batch creates."""
        statement = adbc_driver_manager.AdbcStatement(self._own)
        try:
            statement.set_options(
                **{
                    "adbc.ingest.target_table": STAGED,
                    "adbc.ingest.temporary": "true",
                    "adbc.ingest.mode": f"adbc.ingest.mode.{'create' if is_first else 'append'}",
                }
            )
            statement.bind(rows)
            statement.execute_update()
        finally:
            statement.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Raises PostgreSQL's error as an error of this service."""
        try:
            yield
        except DriverError as error:
            # A refused COMMIT writes nothing.
            self._is_committing = self._is_committing and is_broken(error)
            if self._is_cancelled:
                raise UploadCancelled("The upload was cancelled.") from error
            raise _failure(error, self._columns.table, self._timeout) from error

    def _cancel(self) -> None:
        """Cancels the statement in PostgreSQL, from any thread."""
        # The lock keeps the connection open until the server has received the request.
        with self._lock:
            if self._lease is not None:
                self._is_cancelled = True
                with suppress(*DriverError):
                    self._lease.adbc.cancel()

    def _release(self, *, usable: bool) -> None:
        with self._lock:
            lease, self._lease = self._lease, None
            usable = usable and not self._is_cancelled
        if lease is not None:
            lease.release(usable=usable)


def _failure(error: BaseException, into: Table, timeout_seconds: float) -> ServiceError:
    """The error for a client. PostgreSQL's primary message names constraints and columns; its
    details are omitted, because they contain rows of others."""
    state = state_of(error)
    if state == NOT_PERMITTED:
        return Forbidden(
            f"PostgreSQL refuses to write to {into.name}: {message_of(error)} Row security and the "
            "rights of the service's role (INSERT, TEMPORARY) decide that."
        )
    if state.startswith(OF_THE_ROWS):
        return InvalidRequest(f"PostgreSQL refuses the rows for {into.name}: {message_of(error)}")
    return failure_of(error, is_cancelled=False, is_late=True, timeout_seconds=timeout_seconds)
