"""Reads an asset with `url()` on ClickHouse's engine, and prints the rows and the seconds."""

import os
import sys
import time

from chdb.session import Session

# `ignore` takes every column and does nothing with it.
STATEMENT = """
SELECT countIf(ignore(*) = 0) FROM url(
    '{url}/assets/analytics/events?format=arrow', 'ArrowStream',
    headers('authorization' = 'Bearer {token}')
)
"""

if __name__ == "__main__":
    statement = STATEMENT.format(
        url=os.environ["FRAISEQL_HTTP_URL"], token=os.environ["FRAISEQL_FLIGHT_TOKEN"]
    )
    session = Session()
    session.query("SELECT 1")
    started = time.perf_counter()
    rows = int(str(session.query(statement, "TSV")))
    seconds = time.perf_counter() - started
    session.close()
    sys.stdout.write(f"{rows} rows, {seconds:.3f} s\n")
