"""N9: a table in memory, by ADBC over Flight SQL, and by pyarrow's DoGet from a bare server.

Both servers send the same batches, each from a separate process. ADBC prepares the statement,
describes and reads it, as polars and pandas have it do. The bare server streams without running
Python. pyarrow reads the statement as well, and ADBC reads it from the bare server: that is the
most that any service can give to ADBC.
"""

import adbc_driver_flightsql.dbapi as flightsql
from baselines.table import ROWS
from flight import READS, read, run
from harness import Comparison, alternate, rate
from processes import Service
from pyarrow import flight

from flight_service.sql.commands import pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol

GOAL = 0.60
STATEMENT = "SELECT * FROM line_items"


def read_sql(connection: flightsql.Connection) -> int:
    """Reads the whole table and keeps nothing. Returns the number of rows."""
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT)
        return sum(batch.num_rows for batch in cursor.fetch_record_batch())


def read_ticket(client: flight.FlightClient, service: Service) -> int:
    """Reads the same statement with pyarrow. Returns the number of rows."""
    command = pack(protocol.CommandStatementQuery(query=STATEMENT))
    descriptor = flight.FlightDescriptor.for_command(command)
    [endpoint] = client.get_flight_info(descriptor, service.options).endpoints
    reader = client.do_get(endpoint.ticket, service.options)
    return sum(chunk.data.num_rows for chunk in reader)


def n9(bare: flight.FlightClient, bare_url: str, service: Service, rounds: int) -> Comparison:
    options = {"adbc.flight.sql.authorization_header": f"Bearer {service.token}"}
    with (
        flightsql.connect(service.flight_url, db_kwargs=options, autocommit=True) as connection,
        flightsql.connect(bare_url, autocommit=True) as to_bare,
        service.connect() as client,
    ):
        assert read_sql(connection) == read_sql(to_bare) == read(bare) == ROWS
        sides, load = alternate(
            {
                "ADBC over Flight SQL": lambda: rate(
                    lambda: sum(read_sql(connection) for _ in range(READS))
                ),
                "pyarrow's DoGet from a bare server": lambda: rate(
                    lambda: sum(read(bare) for _ in range(READS))
                ),
                "ADBC from the bare server": lambda: rate(
                    lambda: sum(read_sql(to_bare) for _ in range(READS))
                ),
                "pyarrow over Flight SQL": lambda: rate(
                    lambda: sum(read_ticket(client, service) for _ in range(READS))
                ),
            },
            unit="rows/s",
            rounds=rounds,
        )
    value = sides[0].median / sides[1].median
    measure = "ADBC over Flight SQL, a million rows, against pyarrow's DoGet from a bare server"
    return Comparison("N9", measure, f"≥ {GOAL:.2f}", value, value >= GOAL, sides, load)


if __name__ == "__main__":
    run("flight_sql", "N9: Flight SQL by ADBC.", n9)
