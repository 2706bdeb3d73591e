"""The connections to PostgreSQL: SQLAlchemy's `QueuePool` over ADBC.

A connection is checked each time before it is used again, so that a server that was restarted
meanwhile is not noticed by any query. The pool connects without holding a lock. The driver's
database handle is shared by all connections and closed after the last of them.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
from sqlalchemy import event, exc
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from flight_service.disclosure import without_addresses
from flight_service.graphql.errors import Busy, DatabaseUnavailable
from flight_service.graphql.postgres.driver import DriverError, execute, sentence_of

logger = logging.getLogger(__name__)

SESSION = (
    "SET TimeZone = 'UTC'",
    "SET standard_conforming_strings = on",
    "SET default_transaction_read_only = on",
)
RECYCLE_SECONDS = 3600
"""The age at which a connection is replaced: its server process keeps memory of what it has run."""
LEAST_CONNECT_SECONDS = 2
"""libpq takes no shorter timeout."""


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """How a pool's connections are used at a moment."""

    limit: int
    idle: int
    active: int
    waiting: int
    """Queries that wait for a connection."""


class Connection:
    """A connection with the settings of `SESSION`."""

    def __init__(
        self, adbc: adbc_driver_manager.AdbcConnection, on_close: Callable[[], None]
    ) -> None:
        self.adbc = adbc
        self.is_new = True
        """Whether it has not been lent out yet."""
        self._on_close = on_close

    def close(self) -> None:
        try:
            self.adbc.close()
        finally:
            self._on_close()


class Lease:
    """A connection that is lent out."""

    def __init__(self, proxied: PoolProxiedConnection, give_back: Callable[[], None]) -> None:
        connection = proxied.dbapi_connection
        assert isinstance(connection, Connection), "as the pool made it"
        self.adbc = connection.adbc
        self._proxied = proxied
        self._give_back = give_back

    def release(self, *, usable: bool) -> None:
        """Gives the connection back, or closes it where it cannot be used again."""
        try:
            self._proxied.close() if usable else self._proxied.invalidate()
        finally:
            self._give_back()


class ConnectionPool:
    """At most so many connections. Thread-safe; connects when first asked."""

    def __init__(
        self, uri: str, *, connections: int, wait_seconds: float, connect_seconds: float
    ) -> None:
        self._uri = _with_connect_timeout(uri, connect_seconds)
        self._connections = connections
        self._wait_seconds = wait_seconds
        self._for_large = threading.Semaphore(max(1, connections // 2))
        self._lock = threading.Lock()
        self._database: adbc_driver_manager.AdbcDatabase | None = None
        self._waiting = 0
        self._users = 0
        """The connections that the database handle has, or will have in a moment."""
        self._is_closed = False
        self._pool = QueuePool(
            self._connect,  # pyright: ignore[reportArgumentType]
            pool_size=connections,
            max_overflow=0,
            timeout=wait_seconds,
            recycle=RECYCLE_SECONDS,
            reset_on_return=None,
            use_lifo=True,
        )
        event.listen(self._pool, "checkout", self._check)

    def acquire(self, *, large: bool = False) -> Lease:
        """Lends out a connection. Large results take at most half of them.

        Raises:
            Busy: all of them stay in use.
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        with self._waits():
            return self._acquired(large=large)

    def probe(self) -> None:
        """Opens a connection beside the pool's and closes it.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        try:
            self._connect().close()
        except DriverError as error:
            raise _unreachable(error) from error

    def usage(self) -> PoolUsage:
        """How the connections are used now."""
        return PoolUsage(
            self._connections, self._pool.checkedin(), self._pool.checkedout(), self._waiting
        )

    @contextmanager
    def _waits(self) -> Iterator[None]:
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def _acquired(self, *, large: bool) -> Lease:
        if large and not self._for_large.acquire(timeout=self._wait_seconds):
            raise self._busy()
        give_back = self._for_large.release if large else _nothing
        try:
            return Lease(self._pool.connect(), give_back)
        except BaseException as error:
            give_back()
            if isinstance(error, exc.TimeoutError):
                raise self._busy() from error
            if isinstance(error, (*DriverError, exc.InvalidRequestError)):
                raise _unreachable(error) from error
            raise

    def close(self) -> None:
        """Closes the connections that are idle; those in use are closed as they come back."""
        with self._lock:
            self._is_closed = True
        event.listen(self._pool, "checkin", _invalidate)
        self._pool.dispose()
        self._close_unused()

    def _busy(self) -> Busy:
        return Busy(
            f"All {self._connections} connections, or the half of them that large results "
            f"may take, have been busy for {self._wait_seconds:g} s. Try again, or raise "
            "FRAISEQL_GRAPHQL_CONNECTIONS."
        )

    def _connect(self) -> Connection:
        database = self._used_database()
        adbc = None
        try:
            adbc = adbc_driver_manager.AdbcConnection(database)
            for statement in SESSION:
                execute(adbc, statement)
        except BaseException:
            if adbc is not None:
                adbc.close()
            self._unused()
            raise
        return Connection(adbc, self._unused)

    def _check(self, connection: Connection, record: Any, proxied: Any) -> None:
        """Has the pool replace a connection that broke while it was idle."""
        if self._is_closed:
            raise DatabaseUnavailable("The service is stopping. Ask again in a moment.")
        if connection.is_new:
            connection.is_new = False
            return
        try:
            execute(connection.adbc, "SELECT 1")
        except DriverError as error:
            # What broke one has broken all that are older than now.
            raise exc.InvalidatePoolError from error

    def _used_database(self) -> adbc_driver_manager.AdbcDatabase:
        """The handle, with one user more. Opening it asks the server, so no lock is held."""
        with self._lock:
            if self._database is not None:
                self._users += 1
                return self._database
        opened = adbc_driver_postgresql.connect(self._uri)
        with self._lock:
            self._users += 1
            if self._database is None:
                self._database = opened
                return opened
            database = self._database
        opened.close()
        return database

    def _unused(self) -> None:
        with self._lock:
            self._users -= 1
        self._close_unused()

    def _close_unused(self) -> None:
        with self._lock:
            if not self._is_closed or self._users:
                return
            database, self._database = self._database, None
        if database is not None:
            database.close()


def _invalidate(connection: Any, record: Any) -> None:
    """Closes what comes back after the pool was closed."""
    if connection is not None:
        record.invalidate()


def _nothing() -> None: ...


def _unreachable(error: BaseException) -> DatabaseUnavailable:
    sentence = sentence_of(error)
    logger.warning("PostgreSQL cannot be reached: %s", sentence)
    return DatabaseUnavailable(
        f"PostgreSQL cannot be reached: {without_addresses(sentence)} "
        "FRAISEQL_DATABASE_URL says where it is."
    )


def _with_connect_timeout(uri: str, seconds: float) -> str:
    """The address with a timeout for connecting, unless it has one."""
    if "connect_timeout" in uri:
        return uri
    timeout = f"connect_timeout={max(LEAST_CONNECT_SECONDS, math.ceil(seconds))}"
    if "://" not in uri:
        return f"{uri} {timeout}"
    return f"{uri}{'&' if '?' in uri else '?'}{timeout}"
