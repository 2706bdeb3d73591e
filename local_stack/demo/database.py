"""Loads TPC-H as a FraiseQL database into PostgreSQL: tables, views, stored documents."""

import hashlib
import logging
import time
from contextlib import closing
from importlib.resources import files
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from adbc_driver_postgresql import dbapi

from local_stack.demo import SCALE, DemoError, on_database
from local_stack.demo.history import history_of
from local_stack.demo.rows import rows
from local_stack.demo.shop import make_shop
from local_stack.demo.tpch import make_tables

logger = logging.getLogger(__name__)

LOCK = 7_368_301
"""The advisory lock of a load. Concurrent loads would create the same tables."""
BEFORE = ("tables",)
AFTER = ("keys", "analyze", "views", "stored", "flat")
DUPLICATE_DATABASE = ("42P04", "23505")


def load(
    database_url: str,
    scale: float = SCALE,
    seed: int = 0,
    tables: dict[str, pa.Table] | None = None,
) -> bool:
    """Loads the demo into a database. Creates the database if it does not exist.

    The load is one transaction. A demo of the same scale, seed and version is left as it is, and
    another one is replaced. Pass TPC-H's `tables` of this scale if you already have them. Returns
    whether anything was loaded.

    Raises:
        DemoError: PostgreSQL cannot be reached or refuses the load, or the database has other
            tables with these names.
    """
    started = time.monotonic()
    try:
        with closing(_connected(database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            wanted = (scale, seed, _version())
            present = _present(cursor)
            if present == wanted:
                return False
            if present is not None:
                cursor.executescript(_sql("drop"))
            _fill(cursor, scale, seed, tables)
            _mark(cursor, *wanted)
            connection.commit()
    except dbapi.Error as error:
        raise DemoError(f"the demo cannot be loaded into PostgreSQL: {_reason(error)}") from error
    logger.info("the demo's database is loaded in %.1f s", time.monotonic() - started)
    return True


def _fill(
    cursor: dbapi.Cursor, scale: float, seed: int, tables: dict[str, pa.Table] | None
) -> None:
    # Before the rows are made, which takes longer: this fails if other tables have these names.
    for name in BEFORE:
        cursor.executescript(_sql(name))
    tables = tables or make_tables(scale)
    for name, table in rows(tables, history_of(make_shop(tables, seed))):
        cursor.adbc_ingest(name, table, mode="append")
        logger.info("%s: %s rows of scale %g", name, f"{table.num_rows:,}", scale)
    for name in AFTER:
        cursor.executescript(_sql(name))


def _connected(url: str) -> dbapi.Connection:
    """Connects to the database. Creates it first if it does not exist."""
    try:
        return dbapi.connect(url)
    except dbapi.Error:
        # A refused connection has no SQLSTATE, so the catalogue tells whether the database exists.
        if not _create_database(url):
            raise
    return dbapi.connect(url)


def _create_database(url: str) -> bool:
    """Creates the database in the URL. Returns whether it did not exist."""
    name = unquote(urlsplit(url).path.removeprefix("/"))
    quoted = '"' + name.replace('"', '""') + '"'
    with (
        closing(dbapi.connect(on_database(url, "postgres"), autocommit=True)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = $1", (name,))
        if cursor.fetchone() is not None:
            return False
        try:
            cursor.execute(f"CREATE DATABASE {quoted}")
        except dbapi.Error as error:
            if error.sqlstate not in DUPLICATE_DATABASE:
                raise
    return True


def _present(cursor: dbapi.Cursor) -> tuple[float, int, str] | None:
    """The scale, seed and version of the demo in the database, if there is one."""
    cursor.execute("SELECT to_regclass('demo_load') IS NOT NULL")
    [there] = cursor.fetchone() or (False,)
    if not there:
        return None
    cursor.execute("SELECT scale, seed, version FROM demo_load")
    scale, seed, version = cursor.fetchone() or (0.0, 0, "")
    return scale, seed, version


def _mark(cursor: dbapi.Cursor, scale: float, seed: int, version: str) -> None:
    cursor.execute("CREATE TABLE demo_load (scale float8, seed bigint, version text)")
    cursor.execute("INSERT INTO demo_load VALUES ($1, $2, $3)", (scale, seed, version))


def _sql(name: str) -> str:
    return files("local_stack.demo").joinpath("sql", f"{name}.sql").read_text()


def _version() -> str:
    """A digest of all SQL that creates the tables and views."""
    text = "".join(map(_sql, (*BEFORE, *AFTER)))
    return hashlib.sha256(text.encode()).hexdigest()


def _reason(error: dbapi.Error) -> str:
    """PostgreSQL's error message, without the statement that the driver adds."""
    text = str(error).partition("ERROR:")[2] or str(error).rpartition("[libpq]")[2]
    return (text.strip().splitlines() or [type(error).__name__])[0]
