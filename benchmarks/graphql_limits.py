"""N4 and N10: memory of GraphQL over Flight, and the time to plan and to cancel a query.

N4   A million rows of seven scalars: the growth of the service's memory over its idle memory, and
     of the memory of a client in a separate process that reads batch by batch.
N10  The duration of GetFlightInfo of a GraphQL ticket, as the client sees it: for a repeated query,
     for one with new variables and for a new query. And the time from a client's cancel until
     PostgreSQL runs no statement for it, for queries that send rows, that sort and that compute.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import line_items
import psutil
from adbc_driver_postgresql import dbapi
from harness import QUICK, ROUNDS, Comparison, Side, Table, load, percentile, report, working
from processes import Service, flight_service
from pyarrow import flight

FIELDS = "id orderKey lineNumber extendedPrice late shippedAt shipMode"
WIDE = f"{FIELDS} partKey supplierKey quantity discount tax shipDate shipInstructions comment"
MIB = 2**20
MEMORY_GOAL, PLAN_GOAL, STOP_GOAL = 50.0, 2.0, 100.0
CALLS = 20 if QUICK else 300
SAMPLE_SECONDS = 0.005

STOPPED = {
    "rows of a flat relation": f"{{ lineItems {{ {FIELDS} }} }}",
    "rows of stored documents": f"{{ storedItems {{ {WIDE} }} }}",
    "a sort before the first row": f"{{ lineItems(orderBy: {{comment: DESC}}) {{ {WIDE} }} }}",
    "a search that finds nothing": '{ builtItems(where: {comment: {ilike: "%x%y%z%x%y%z%x%"}}) '
    f"{{ {FIELDS} }} }}",
    "two lists as one row": f"{{ a: lineItems {{ {FIELDS} }} b: builtItems {{ {FIELDS} }} }}",
}
"""Queries that run longer than it takes to cancel them."""


def ticket(query: str, **variables: int) -> bytes:
    return json.dumps({"type": "GraphQLQuery", "query": query, "variables": variables}).encode()


def memory(pid: int) -> float:
    """A process's memory in MiB: resident, without pages shared with files."""
    found = psutil.Process(pid).memory_info()
    return (found.rss - found.shared) / MIB


@contextmanager
def peak_of(pid: int) -> Iterator[Callable[[], float]]:
    """Samples a process's memory during the block. Yields a function that returns the peak."""
    highest, ended = [memory(pid)], threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            highest[0] = max(highest[0], memory(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: highest[0]
    finally:
        ended.set()
        watcher.join()


def n4(service: Service, rounds: int) -> list[Comparison]:
    """Measures a million rows from a flat relation, then from views that build documents."""
    before = load()
    _streamed(service, f"{{ lineItems(limit: 100) {{ {FIELDS} }} }}")
    idle = memory(service.pid)
    found: dict[str, tuple[list[float], list[float]]] = {}
    for field in ("lineItems", "builtItems"):
        server, client = found.setdefault(field, ([], []))
        for number in range(rounds):
            with (
                working(f"round {number + 1} of {rounds}: {field}"),
                peak_of(service.pid) as peak,
            ):
                client.append(_streamed(service, f"{{ {field} {{ {FIELDS} }} }}"))
                server.append(peak() - idle)
    sides = {
        "N4 server": ("the service, above idle", 0),
        "N4 client": ("a client that reads batch by batch, above connected", 1),
    }
    return [
        _memory(number, name, {field: both[place] for field, both in found.items()}, before)
        for number, (name, place) in sides.items()
    ]


def _streamed(service: Service, query: str) -> float:
    """Reads a query's rows in a new process. Returns the growth of its memory."""
    call = {"url": service.flight_url, "token": service.token, "query": query}
    script = str(Path(__file__).parent / "baselines" / "streaming_client.py")
    done = subprocess.run(
        [sys.executable, script], input=json.dumps(call), text=True, capture_output=True, check=True
    )
    return float(done.stdout)


def _memory(number: str, of: str, peaks: dict[str, list[float]], before: float) -> Comparison:
    sides = [Side(f"{of}: {field}", "MiB", values) for field, values in peaks.items()]
    # The largest round counts: a limit holds only if every round is within it.
    value = max(max(side.rounds) for side in sides)
    return Comparison(
        number,
        f"A million rows over GraphQL → Flight: peak memory of {of}",
        f"≤ {MEMORY_GOAL:g} MiB",
        value,
        value <= MEMORY_GOAL,
        sides,
        (before, load()),
    )


def n10_planned(service: Service, client: flight.FlightClient) -> tuple[Comparison, Table]:
    """Measures the duration of GetFlightInfo."""
    before = load()
    narrowed = "limit: 100, where: {lineNumber: {eq: $n}}"
    kinds = {
        "repeated query": lambda n: ticket(f"{{ lineItems(limit: 100) {{ {FIELDS} }} }}"),
        "repeated query, all rows": lambda n: ticket(f"{{ lineItems {{ {FIELDS} }} }}"),
        "new variables": lambda n: ticket(
            f"query ($n: Int) {{ lineItems({narrowed}) {{ {FIELDS} }} }}", n=n
        ),
        "new variables, documents": lambda n: ticket(
            f"query ($n: Int) {{ storedItems({narrowed}) {{ {FIELDS} }} }}", n=n
        ),
        "new query text": lambda n: ticket(
            f"query ($n: Int) {{ lineItems({narrowed}) {{ a{n}: id {FIELDS} }} }}", n=1
        ),
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    with working(f"{CALLS} calls of GetFlightInfo for each kind of query"):
        for number in range(CALLS + 10):
            for name, kind in kinds.items():
                descriptor = flight.FlightDescriptor.for_command(kind(number))
                started = time.perf_counter()
                client.get_flight_info(descriptor, service.options)
                # During the first calls the service introspects the database.
                if number >= 10:
                    found[name].append((time.perf_counter() - started) * 1000)
    sides = [Side(name, "ms", values) for name, values in found.items()]
    value = max(side.median for side in sides if side.name != "new query text")
    comparison = Comparison(
        "N10",
        "GetFlightInfo of a GraphQL ticket, p50 of the slowest kind with a repeated query text",
        f"≤ {PLAN_GOAL:g} ms",
        value,
        value <= PLAN_GOAL,
        sides,
        (before, load()),
    )
    rows = [
        (s.name, s.median, percentile(s.rounds, 0.95), percentile(s.rounds, 0.99)) for s in sides
    ]
    note = f"{CALLS} calls each, alternating, one at a time. Load: {before:.1f} to {load():.1f}."
    return comparison, Table("GetFlightInfo, ms", ("query", "p50", "p95", "p99"), rows, note)


def n10_stopped(service: Service, database_url: str, rounds: int) -> Comparison:
    """Measures how long a statement runs after its client has cancelled."""
    before = load()
    found: dict[str, list[float]] = {name: [] for name in STOPPED}
    with dbapi.connect(database_url, autocommit=True) as watcher:
        for number in range(rounds):
            for name, query in STOPPED.items():
                with working(f"round {number + 1} of {rounds}: {name}"):
                    found[name].append(_stopped(service, watcher, query))
    sides = [Side(name, "ms", values) for name, values in found.items()]
    value = max(side.median for side in sides)
    return Comparison(
        "N10",
        "From a client's cancel until PostgreSQL has stopped its statement, the slowest kind",
        f"≤ {STOP_GOAL:g} ms",
        value,
        value <= STOP_GOAL,
        sides,
        (before, load()),
    )


def _stopped(service: Service, watcher: dbapi.Connection, query: str) -> float:
    """Cancels a running query. Returns the milliseconds until it stopped."""
    with service.connect() as client:
        reader = client.do_get(flight.Ticket(ticket(query)), service.options)
        # The stream begins with the first message, which comes only after a sort.
        reading = threading.Thread(target=_read, args=(reader,))
        reading.start()
        _wait(lambda: _running(watcher) > 0)
        time.sleep(0.05)
        assert _running(watcher), "the query was over before it could be cancelled"
        started = time.perf_counter()
        reader.cancel()
        _wait(lambda: _running(watcher) == 0)
        ended = time.perf_counter()
        reading.join()
    return (ended - started) * 1000


def _read(reader: flight.FlightStreamReader) -> None:
    try:
        # Slowly, so that the query is still running when it is cancelled.
        for _ in reader:
            time.sleep(0.2)
    except (flight.FlightCancelledError, flight.FlightInternalError):
        return


def _running(watcher: dbapi.Connection) -> int:
    with watcher.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
            "AND pid <> pg_backend_pid() AND query LIKE 'COPY%' AND query LIKE '%_item%'"
        )
        [count] = cursor.fetchone() or (0,)
        return count


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "the condition did not hold within a minute"
        time.sleep(0.001)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="N4 and N10: memory of GraphQL, time to plan and cancel."
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(line_items.database(folder))
        service = stack.enter_context(flight_service(folder, line_items.settings(url)))
        client = stack.enter_context(service.connect())
        # Memory first: earlier work would raise the idle memory.
        memories = n4(service, rounds)
        planned, calls = n10_planned(service, client)
        stopped = n10_stopped(service, url, rounds)
        report("graphql_limits", [*memories, planned, stopped], [calls])


if __name__ == "__main__":
    main()
