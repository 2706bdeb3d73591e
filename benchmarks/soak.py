"""A hundred concurrent clients for ten minutes: errors, memory over time, and fairness.

The clients send small, large, nested, refused and cancelled queries over Flight and HTTP to the
Flight service, which reads the demo's database. The exit code is 1 if a call failed unexpectedly,
or if the service's memory grew from the second minute on.

With `--hostile`, the same time passes again with ten hostile clients among them (see
`soak_hostile.py`). The exit code is 1 too if the others' 99th percentile more than doubled.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from harness import QUICK, Table, load, out, percentile, report, working
from processes import Service, flight_service, running

from local_stack import servers
from local_stack.demo.database import load as load_demo
from local_stack.ports import distinct_free_ports

HERE = Path(__file__).parent
SCHEMA = HERE.parent / "local_stack" / "demo" / "schema.compiled.json"
CLIENTS, PROCESSES = 100, 4
MIB = 2**20
SAMPLE_SECONDS = 1.0
WARM_SECONDS = 15.0
SLOWER = 2.0
"""The allowed ratio of the 99th percentiles with hostile clients and without."""
GROWTH = 1.15
"""The allowed ratio of the last minute's median memory to the second minute's."""

NUMBER = re.compile(r"error [0-9a-f]{8}.*")
"""The variable part of an error message that refers to the service's log."""

Call = tuple[int, str, float, int, str | None]


def memory(service: Service) -> float:
    """The service's memory in MiB: resident, without pages shared with files."""
    found = psutil.Process(service.pid).memory_info()
    return (found.rss - found.shared) / MIB


@contextmanager
def hostile(service: Service, seconds: float) -> Iterator[list[str]]:
    """Runs the hostile clients for the duration of the block. Their lines are there at its end."""
    lines: list[str] = []
    process = subprocess.Popen(
        [sys.executable, str(HERE / "soak_hostile.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin
    call = {"flight_url": service.flight_url, "http_url": service.http_url}
    call |= {"token": service.token_of("hostile"), "seconds": seconds}
    process.stdin.write(json.dumps(call))
    process.stdin.close()
    process.stdin = None
    try:
        yield lines
        lines += process.communicate(timeout=120)[0].splitlines()
    finally:
        process.kill()
        process.wait()


def soak(service: Service, seconds: float) -> tuple[list[Call], list[tuple[float, float]]]:
    """Runs the clients. Returns every call, and samples of the service's memory by time."""
    script = str(HERE / "soak_clients.py")
    processes = [
        subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    outputs: list[str] = [""] * PROCESSES

    def follow(number: int) -> None:
        call = {
            "flight_url": service.flight_url,
            "http_url": service.http_url,
            "token": service.token_of(f"clients {number}"),
            "clients": CLIENTS // PROCESSES,
            "seconds": seconds,
            "seed": number,
        }
        outputs[number], _ = processes[number].communicate(json.dumps(call))

    followers = [threading.Thread(target=follow, args=(n,)) for n in range(PROCESSES)]
    for follower in followers:
        follower.start()
    started = time.monotonic()
    samples: list[tuple[float, float]] = []
    while any(follower.is_alive() for follower in followers):
        samples.append((time.monotonic() - started, memory(service)))
        time.sleep(SAMPLE_SECONDS)
    calls = [tuple(json.loads(line)) for output in outputs for line in output.splitlines()]
    return calls, samples


def by_kind(calls: Sequence[Call]) -> list[list[Any]]:
    """A row per kind of call: number, durations, rows and errors."""
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        found[call[1]].append(call)
    return [
        [
            kind,
            len(some),
            median(call[2] for call in some) * 1000,
            percentile([call[2] for call in some], 0.99) * 1000,
            max(call[2] for call in some) * 1000,
            sum(call[3] for call in some),
            sum(call[4] is not None for call in some),
        ]
        for kind, some in found.items()
    ]


def compared(alone: Sequence[Call], among: Sequence[Call]) -> list[list[Any]]:
    """A row per kind of call, and one for all: the 99th percentiles without and with hostile
    clients, and their ratio."""
    rows: list[list[Any]] = []
    for kind in [*dict.fromkeys(call[1] for call in alone), "all"]:
        durations = [
            [call[2] for call in calls if kind in (call[1], "all")] for calls in (alone, among)
        ]
        if all(durations):
            one, other = (percentile(some, 0.99) * 1000 for some in durations)
            rows.append([kind, *map(len, durations), one, other, other / one])
    return rows


def by_client(calls: Sequence[Call]) -> list[Any]:
    """The number of calls per client: minimum, median and maximum."""
    counts: dict[int, int] = dict.fromkeys(range(CLIENTS), 0)
    for call in calls:
        counts[call[0]] += 1
    values = list(counts.values())
    return [len(values), min(values), median(values), max(values)]


def by_minute(samples: Sequence[tuple[float, float]], seconds: float) -> list[list[float]]:
    """Median and peak memory of each minute."""
    minutes = range(max(1, round(seconds / 60)))
    kept = {
        minute: [mib for at, mib in samples if minute * 60 <= at < minute * 60 + 60]
        for minute in minutes
    }
    return [[minute + 1, median(some), max(some)] for minute, some in kept.items() if some]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=0.2 if QUICK else 10.0)
    parser.add_argument("--hostile", action="store_true", help="again, with ten hostile clients")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    before = load()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        [port] = distinct_free_ports(1)
        program = servers.postgresql(folder / "postgresql", port)
        [url] = program.addresses.values()
        stack.enter_context(running(program, folder))
        with working("loading the demo's database"):
            load_demo(url)
        settings = {"FRAISEQL_DATABASE_URL": url, "FRAISEQL_SCHEMA": str(SCHEMA)}
        service = stack.enter_context(flight_service(folder, settings))
        with working("warming up"):
            soak(service, min(WARM_SECONDS, seconds))
        with working(f"{CLIENTS} clients for {seconds / 60:g} minutes"):
            calls, samples = soak(service, seconds)
        abuse: list[str] = []
        among: list[Call] = []
        more: list[tuple[float, float]] = []
        if arguments.hostile:
            with working("the same with hostile clients"), hostile(service, seconds) as abuse:
                among, more = soak(service, seconds)
        idle = memory(service)
        log = (folder / "flight-service.log").read_text()
    minutes = by_minute(samples, seconds)
    among_minutes = by_minute(more, seconds)
    errors = Counter(
        NUMBER.sub("error …", call[4]) for call in [*calls, *among] if call[4] is not None
    )
    note = f"{CLIENTS} clients in {PROCESSES} processes. Load: {before:.1f} to {load():.1f}."
    columns = ("kind of call", "calls", "p50 ms", "p99 ms", "max ms", "rows", "errors")
    tables = [
        Table("Calls", columns, by_kind(calls), note),
        Table(
            "Calls per client",
            ("clients", "minimum", "median", "maximum"),
            [by_client(calls)],
            "All clients send the same mix of queries.",
        ),
        Table(
            "The service's memory, MiB",
            ("minute", "median", "peak"),
            minutes,
            "Resident, without pages that are shared with files.",
        ),
    ]
    slower = 0.0
    if among:
        ratios = compared(calls, among)
        slower = ratios[-1][-1]
        tables.append(
            Table(
                "99th percentiles with ten hostile clients",
                ("kind of call", "calls", "with them", "p99 ms", "with them, ms", "ratio"),
                ratios,
                f"Allowed for all calls: {SLOWER:g}. " + " ".join(map(_described, abuse)),
            )
        )
        tables.append(
            Table(
                "The service's memory with ten hostile clients, MiB",
                ("minute", "median", "peak"),
                among_minutes,
                f"After the last client ended: {idle:.0f} MiB.",
            )
        )
    report("soak-hostile" if among else "soak", [], tables)
    for error, count in errors.most_common():
        out.print(f"[red]{count} times:[/red] {error}", soft_wrap=True)
    if errors:
        out.print(f"The end of the service's log:\n{log[-4000:]}", soft_wrap=True, markup=False)
    grew = any(
        len(found) > 2 and found[-1][1] > found[1][1] * GROWTH for found in (minutes, among_minutes)
    )
    if grew:
        out.print("[red]The service's memory grew from the second minute on.[/red]")
    if slower > SLOWER:
        out.print(f"[red]Hostile clients made the others {slower:.1f} times slower.[/red]")
    raise SystemExit(bool(errors) or grew or slower > SLOWER)


def _described(line: str) -> str:
    name, tried, errors = json.loads(line)
    told = "; ".join(f"{count} × {error}" for error, count in errors)
    return f"{name}: {tried} times{f' ({told})' if told else ''}."


if __name__ == "__main__":
    main()
