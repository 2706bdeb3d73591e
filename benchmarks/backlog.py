"""Memory and cost of reading a backlog, by number of events.

The log holds ten thousand to ten million events. A separate process, like a run, reads them into an
empty plane. The benchmark measures seconds, processor seconds and peak memory. The largest backlogs
are 10,000,000 events in Arrow messages and 1,000,000 in JSON messages for ClickHouse, and 200,000
for Elasticsearch, because the embedded server keeps all documents in memory. The benchmark takes
about five minutes and 5 GB of disk.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from harness import QUICK, ROUNDS, Cell, Table, load, report, working
from logs import Embedded, embedded, fill, settings_of
from pydantic import SecretStr

from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job, default_batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log

ARROW_MESSAGE = 10_000
"""Events per Arrow message."""

SIZES = {
    ("arrow", "analytics"): (10_000, 100_000, 1_000_000, 5_000_000, 10_000_000),
    ("observer", "analytics"): (10_000, 100_000, 1_000_000),
    ("observer", "operational"): (10_000, 100_000, 200_000),
}
"""Numbers of events, by message shape and plane."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Cost of a backlog in the process that read it."""

    rows: int
    seconds: float
    processor_seconds: float
    peak_bytes: int


def drain(settings: Settings, plane_name: str, messages: int) -> Taken:
    """Reads the first messages of the log into the plane, in the ranges that a sensor requests."""
    # A run imports both planes, so its memory includes both.
    from fraiseql_assets.analytics.plane import AnalyticsPlane
    from fraiseql_assets.operational.plane import OperationalPlane

    kinds = {kind.name: kind for kind in (AnalyticsPlane, OperationalPlane)}
    with closing(kinds[plane_name](settings)) as plane, Log(settings, name="benchmark") as log:
        plane.setup()
        job = Job("benchmark", 1, default_batching(settings), settings.queue_batches)
        today, rows = datetime.now(UTC).date(), 0
        started, before = time.perf_counter(), time.process_time()
        for first in range(1, messages + 1, settings.range_messages):
            last = min(messages, first + settings.range_messages - 1)
            rows += ingest_range(plane, log, SequenceRange(first, last), today, job).rows
        seconds, processor_seconds = time.perf_counter() - started, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Taken(rows, seconds, processor_seconds, peak)


def in_own_process(settings: Settings, plane: str, messages: int) -> Taken:
    """Calls `drain` in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(drain, settings, plane, messages).result()


def measured(settings: Settings, plane: str, server: Embedded, events: int) -> list[Cell]:
    """A row of the table: a number of events into an empty plane."""
    own = settings.model_copy(
        update={
            "clickhouse_url": SecretStr(
                settings.clickhouse_url.get_secret_value().rpartition("/")[0]
                + f"/{settings.stream}_{events}"
            ),
            "index_prefix": f"{settings.stream}_{events}",
        }
    )
    messages = events // ARROW_MESSAGE if settings.stream == "arrow" else events
    before = _processor_seconds(server.process)
    with working(f"{events:,} events as {settings.stream} into the {plane} plane"):
        taken = in_own_process(own, plane, messages)
    if taken.rows != events:
        raise RuntimeError(f"{taken.rows:,} rows of {events:,} events")
    return [
        f"{settings.stream} → {plane}",
        events,
        taken.seconds,
        taken.rows / taken.seconds,
        taken.processor_seconds,
        _processor_seconds(server.process) - before,
        taken.peak_bytes / 2**20,
        server.process.memory_info().rss / 2**20,
    ]


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


COLUMNS = (
    *("way", "events", "seconds", "events/s", "processor s, run", "processor s, server"),
    *("peak MiB, run", "MiB, server after"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="ignored: each backlog is read once"
    )
    parser.parse_args()
    loads, rows = [load()], []
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded(Path(folder), "nats", "clickhouse", "elasticsearch") as (nats, *planes),
    ):
        servers: dict[str, Embedded] = dict(zip(("analytics", "operational"), planes, strict=True))
        addresses = {
            "nats_url": nats.address,
            "clickhouse_url": servers["analytics"].address,
            "elasticsearch_url": servers["operational"].address,
        }
        logs = {shape: settings_of(shape, **addresses) for shape in ("arrow", "observer")}
        for shape, settings in logs.items():
            fill(settings, shape, max(max(n) for (s, _), n in sizes().items() if s == shape))
        for (shape, plane), counts in sizes().items():
            rows += [measured(logs[shape], plane, servers[plane], count) for count in counts]
    loads.append(load())
    note = (
        "Each line is one process and one empty plane. An Arrow message carries "
        f"{ARROW_MESSAGE:,} events, a JSON message (observer) one. Load {loads[0]:.1f} before, "
        f"{loads[1]:.1f} after."
    )
    report("backlog", (), [Table("From ten thousand to ten million events", COLUMNS, rows, note)])


def sizes() -> dict[tuple[str, str], tuple[int, ...]]:
    """The backlogs to measure; with `--quick` only the smallest of each."""
    return {way: counts[:1] if QUICK else counts for way, counts in SIZES.items()}


if __name__ == "__main__":
    main()
