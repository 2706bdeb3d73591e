"""PostgreSQL's ADBC driver: runs statements."""

from collections.abc import Sequence

import adbc_driver_manager
import pyarrow as pa

# The driver's own reader, which `adbc_driver_manager.dbapi` uses: it keeps the SQLSTATE of an error
# that ends a stream, and pyarrow's reader does not.
from adbc_driver_manager._reader import AdbcRecordBatchReader

from fraiseql_assets.tracing import trace_id

APPLICATION = "fraiseql-assets"
READ_BYTES = 2**20
"""The approximate size of a batch."""

DriverError = (adbc_driver_manager.Error, OSError, pa.ArrowException)


def execute(connection: adbc_driver_manager.AdbcConnection, sql: str) -> None:
    """Runs a statement without rows."""
    statement = adbc_driver_manager.AdbcStatement(connection)
    try:
        statement.set_sql_query(sql)
        statement.execute_update()
    finally:
        statement.close()


def table(
    connection: adbc_driver_manager.AdbcConnection,
    sql: str,
    values: Sequence[str] = (),
    *,
    copy: bool = True,
) -> pa.Table:
    """Runs a statement with few rows and bound parameters."""
    statement = adbc_driver_manager.AdbcStatement(connection)
    try:
        if not copy:
            statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        statement.set_sql_query(sql)
        if values:
            names = [f"p{n}" for n in range(len(values))]
            columns = [pa.array([value], pa.string()) for value in values]
            statement.bind(pa.record_batch(columns, names))
        return executed(statement).read_all()
    finally:
        statement.close()


def executed(statement: adbc_driver_manager.AdbcStatement) -> pa.RecordBatchReader:
    """Runs a statement; returns a stream of its rows."""
    handle, _ = statement.execute_query()
    return AdbcRecordBatchReader._import_from_c(handle.address)


def traced() -> dict[str, str]:
    """The setting of a transaction that names the call's trace, in `pg_stat_activity` and in
    PostgreSQL's log; none if it is not traced. Unlike a comment, it does not change statements."""
    trace = trace_id()
    return {} if trace is None else {"application_name": f"{APPLICATION} {trace}"}
