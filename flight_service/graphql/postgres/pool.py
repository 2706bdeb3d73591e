"""The connections to PostgreSQL: SQLAlchemy's `QueuePool` over ADBC.

A connection is tested before it is used again, so that no query fails because the server was
restarted. The pool connects without holding a lock. The driver's database handle is shared by all
connections and closed after the last one.
"""

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
from sqlalchemy import event, exc
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from flight_service.address_redaction import without_addresses
from flight_service.graphql.errors import Busy, DatabaseUnavailable
from flight_service.graphql.postgres.connection_shares import Shares, Use
from flight_service.graphql.postgres.driver import DriverError, execute
from flight_service.graphql.postgres.sqlstates import message_of

logger = logging.getLogger(__name__)

SESSION = (
    "SET TimeZone = 'UTC'",
    "SET standard_conforming_strings = on",
    "SET default_transaction_read_only = on",
)
RECYCLE_SECONDS = 3600
"""The age at which a connection is replaced: its server process's memory grows with use."""
MIN_CONNECT_SECONDS = 2
"""The shortest timeout that libpq accepts."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections a pool has, and for whom."""

    connections: int
    wait_seconds: float
    """How long a query waits for a connection."""
    for_large: int | None = None
    """How many may have large results; half of them, if it is None."""
    setting: str = "FRAISEQL_GRAPHQL_CONNECTIONS"
    """What an operator raises for more connections."""


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
        """Whether it has not been used yet."""
        self._on_close = on_close

    def close(self) -> None:
        try:
            self.adbc.close()
        finally:
            self._on_close()


class Lease:
    """A connection that is in use."""

    def __init__(self, proxied: PoolProxiedConnection, on_release: Callable[[], None]) -> None:
        connection = proxied.dbapi_connection
        assert isinstance(connection, Connection), "as the pool made it"
        self.adbc = connection.adbc
        self._proxied = proxied
        self._on_release = on_release

    def release(self, *, usable: bool) -> None:
        """Returns the connection to the pool, or closes it if it cannot be used again."""
        try:
            self._proxied.close() if usable else self._proxied.invalidate()
        finally:
            self._on_release()


class ConnectionPool:
    """A pool of connections. Thread-safe; connects when it is first used."""

    def __init__(self, uri: str, limits: PoolLimits, *, connect_seconds: float) -> None:
        self._uri = _with_connect_timeout(uri, connect_seconds)
        self._limits = limits
        self.shares = Shares(limits.connections, limits.for_large)
        self._lock = threading.Lock()
        self._database: adbc_driver_manager.AdbcDatabase | None = None
        self._users = 0
        """The connections that the database handle has, including those being opened."""
        self._is_closed = False
        self._pool = QueuePool(
            self._connect,  # pyright: ignore[reportArgumentType]
            pool_size=limits.connections,
            max_overflow=0,
            timeout=limits.wait_seconds,
            recycle=RECYCLE_SECONDS,
            reset_on_return=None,
            use_lifo=True,
        )
        event.listen(self._pool, "checkout", self._check)

    def acquire(self, use: Use) -> Lease:
        """Takes a connection; see `Shares` for how many of them a use may have.

        Raises:
            Busy: those that it may have stay in use.
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        if not self.shares.enter(use, self._limits.wait_seconds):
            raise self._busy(use)
        try:
            return Lease(self._pool.connect(), lambda: self.shares.leave(use))
        except BaseException as error:
            self.shares.leave(use)
            if isinstance(error, exc.TimeoutError):
                raise self._busy(use) from error
            if isinstance(error, (*DriverError, exc.InvalidRequestError)):
                raise _unreachable(error) from error
            raise

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
            self.shares.connections,
            self._pool.checkedin(),
            self._pool.checkedout(),
            self.shares.waiting,
        )

    def close(self) -> None:
        """Closes idle connections. Others are closed when they are released."""
        with self._lock:
            self._is_closed = True
        event.listen(self._pool, "checkin", _invalidate)
        self._pool.dispose()
        self._close_unused()

    def _busy(self, use: Use) -> Busy:
        if self.shares.is_at_share(use):
            return Busy(
                f"This principal reads {self.shares.for_reader} large results already, as many as "
                f"one may of the {self.shares.for_large} connections for large results. Try again "
                "when one of them has been read, ask for less with `limit`, or have "
                f"{self._limits.setting} raised."
            )
        return Busy(
            f"All {self.shares.connections} connections, or the half of them that large results "
            f"may use, have been busy for {self._limits.wait_seconds:g} s. Try again, or raise "
            f"{self._limits.setting}."
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
        """Makes the pool replace a connection that broke while it was idle."""
        if self._is_closed:
            raise DatabaseUnavailable("The service is stopping. Ask again in a moment.")
        if connection.is_new:
            connection.is_new = False
            return
        try:
            execute(connection.adbc, "SELECT 1")
        except DriverError as error:
            # All older connections are replaced too: the cause is probably the same.
            raise exc.InvalidatePoolError from error

    def _used_database(self) -> adbc_driver_manager.AdbcDatabase:
        """The handle, for another connection. Opening it connects to the server, so no lock is
        held."""
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
    """Closes a connection that is released after the pool was closed."""
    if connection is not None:
        record.invalidate()


def _unreachable(error: BaseException) -> DatabaseUnavailable:
    sentence = message_of(error)
    logger.warning("PostgreSQL cannot be reached: %s", sentence)
    return DatabaseUnavailable(
        f"PostgreSQL cannot be reached: {without_addresses(sentence)} "
        "FRAISEQL_DATABASE_URL says where it is."
    )


def _with_connect_timeout(uri: str, seconds: float) -> str:
    """The URI with a connect timeout, unless it has one."""
    if "connect_timeout" in uri:
        return uri
    timeout = f"connect_timeout={max(MIN_CONNECT_SECONDS, math.ceil(seconds))}"
    if "://" not in uri:
        return f"{uri} {timeout}"
    return f"{uri}{'&' if '?' in uri else '?'}{timeout}"
