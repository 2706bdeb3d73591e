"""N1: DoGet of a table in memory, from the Flight service and from a bare pyarrow server.

Both servers send the same batches, each from a separate process. The bare server streams them
without running Python. The service checks a token, watches the call for cancellation and handles
every batch in Python.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from baselines.table import ROWS
from harness import ROUNDS, Comparison, alternate, rate, report
from processes import Service, baseline, table_service
from pyarrow import flight

GOAL = 0.90
READS = 10
"""Reads of the table per round."""


def read(client: flight.FlightClient, options: flight.FlightCallOptions | None = None) -> int:
    """Reads the whole table and keeps nothing. Returns the number of rows."""
    reader = client.do_get(flight.Ticket(b'{"type": "Table"}'), options)
    return sum(chunk.data.num_rows for chunk in reader)


def several(client: flight.FlightClient, options: flight.FlightCallOptions | None = None) -> float:
    """Several reads, in rows per second."""
    return rate(lambda: sum(read(client, options) for _ in range(READS)))


def n1(bare: flight.FlightClient, bare_url: str, service: Service, rounds: int) -> Comparison:
    del bare_url
    with service.connect() as client:
        assert read(client, service.options) == read(bare) == ROWS
        sides, load = alternate(
            {
                "the service": lambda: several(client, service.options),
                "a bare pyarrow server": lambda: several(bare),
            },
            unit="rows/s",
            rounds=rounds,
        )
    value = sides[0].median / sides[1].median
    measure = "DoGet of an in-memory table, authenticated, against a bare pyarrow server"
    return Comparison("N1", measure, f"≥ {GOAL:.2f}", value, value >= GOAL, sides, load)


def run(
    name: str,
    description: str,
    compare: Callable[[flight.FlightClient, str, Service, int], Comparison],
) -> None:
    """Reports a comparison of the service with a bare server, from the command line's rounds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
        baseline(Path(folder), "bare_flight") as port,
        table_service(Path(folder)) as service,
        flight.connect(url := f"grpc://127.0.0.1:{port}") as bare,
    ):
        report(name, [compare(bare, url, service, rounds)])


if __name__ == "__main__":
    run("flight", "N1: DoGet of a table in memory.", n1)
