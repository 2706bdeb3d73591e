"""BulkExport of a million rows as a file in chunks, against the same rows as Arrow, and the memory
of the service meanwhile.

The rows are those of a flat relation of PostgreSQL. The file is read as a client would: chunk by
chunk, and in the end it is opened and counted.
"""

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import line_items
import pyarrow.parquet as pq
from graphql_limits import memory, peak_of
from harness import ROUNDS, Comparison, Side, Table, alternate, load, rate, report
from processes import Service, flight_service
from pyarrow import flight

SPEED_GOAL, MEMORY_GOAL = 0.5, 200.0
FORMATS = ("parquet", "csv", "ndjson", "arrow")


def ticket(format: str, table: str) -> flight.Ticket:
    asked = {"type": "BulkExport", "table": table, "format": format}
    return flight.Ticket(json.dumps(asked).encode())


def exported(client: flight.FlightClient, service: Service, format: str, table: str) -> int:
    """Reads an export and keeps nothing of it. Returns the bytes of the file, or the rows."""
    reader = client.do_get(ticket(format, table), service.options)
    if format == "arrow":
        return sum(chunk.data.num_rows for chunk in reader)
    return sum(len(value.as_buffer()) for chunk in reader for value in chunk.data["chunk"])


def rows_of_file(client: flight.FlightClient, service: Service, table: str, folder: Path) -> int:
    """The rows of the Parquet file that an export gives."""
    path = folder / "export.parquet"
    with path.open("wb") as file:
        for chunk in client.do_get(ticket("parquet", table), service.options):
            for value in chunk.data["chunk"]:
                file.write(value.as_buffer())
    return pq.read_metadata(path).num_rows


def compared(
    client: flight.FlightClient, service: Service, table: str, rounds: int, folder: Path
) -> tuple[list[Comparison], Table]:
    before = load()
    idle = memory(service.pid)
    rows = rows_of_file(client, service, table, folder)
    assert rows == exported(client, service, "arrow", table)

    def speed(format: str) -> float:
        return rate(lambda: bool(exported(client, service, format, table)) * rows)

    with peak_of(service.pid) as peak:
        sides, loads = alternate(
            {format: lambda format=format: speed(format) for format in FORMATS},
            unit="rows/s",
            rounds=rounds,
        )
        grown = peak() - idle
    by_name = {side.name: side for side in sides}
    value = by_name["parquet"].median / by_name["arrow"].median
    speed_of = Comparison(
        "Exports",
        f"{rows:,} rows as a Parquet file in chunks, against the same rows as Arrow",
        f"≥ {SPEED_GOAL:.2f}",
        value,
        value >= SPEED_GOAL,
        [by_name["parquet"], by_name["arrow"]],
        loads,
    )
    memory_of = Comparison(
        "Exports",
        f"{rows:,} rows in every format: peak memory of the service, above idle",
        f"≤ {MEMORY_GOAL:g} MiB",
        grown,
        grown <= MEMORY_GOAL,
        [Side("the service, above idle", "MiB", [grown])],
        (before, load()),
    )
    found = [
        (name, side.median, side.median / by_name["arrow"].median) for name, side in by_name.items()
    ]
    return [speed_of, memory_of], Table("Exports", ("format", "rows/s", "of Arrow"), found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="BulkExport: speed and memory.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(line_items.database(folder))
        service = stack.enter_context(flight_service(folder, line_items.settings(url)))
        client = stack.enter_context(service.connect())
        comparisons, table = compared(client, service, "lineItems", rounds, folder)
        report("exports", comparisons, [table])
