"""Runs benchmarks one after another and writes their results to `RESULTS.md`.

Each benchmark runs in a separate process, so that memory of one does not affect the next.
`RESULTS.md` has the newest result of every benchmark, so you can run some of them alone.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import QUICK_VARIABLE, out
from benchmarks.summary import write_summary

FOLDER = Path(__file__).parent

BENCHMARKS = {
    "flight": "N1: the Flight service against a bare Flight server",
    "flight_sql": "N9: Flight SQL by ADBC against a bare Flight server",
    "writing": "N17: events by DoPut, against publishing them straight to NATS",
    "tls": "N17: DoGet over TLS, against DoGet without",
    "graphql_speed": "N2, N3: GraphQL as Arrow, against JSON and against COPY",
    "exports": "BulkExport: a million rows as files, against Arrow; the service's memory",
    "graphql_limits": "N4, N10: memory of a large result; time to plan and to cancel a query",
    "ingest": "N5, N6, N7: events from the log into Arrow and into ClickHouse",
    "reading": "messages from the log, against the client library nats-py",
    "bulk": "N8: request bodies for Elasticsearch",
    "indexing": "N15: documents into Elasticsearch",
    "searching": "N16: searches among a million documents",
    "storage": "bytes per event in the log and in each plane",
    "latency": "N11: time from published to visible",
    "backlog": "memory and cost of a backlog, by number of events",
}
"""The benchmarks that run by default, in this order."""

NAMED = {
    "clients": "the clients of all languages; needs their tool chains",
    "soak": "a hundred clients for ten minutes",
}
"""The benchmarks that run only if they are named."""

WITHOUT_ROUNDS = {"soak"}
"""All others have the option `--rounds`."""

EVERY = {**BENCHMARKS, **NAMED}
HOSTILE = "soak-hostile"
"""What `soak.py --hostile` calls its result."""


def main() -> None:
    listed = "\n".join(f"  {name:<15} {what}" for name, what in EVERY.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"benchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"benchmarks to run; by default all except {', '.join(NAMED)}",
    )
    parser.add_argument("--rounds", type=int, help="measured rounds; each benchmark has a default")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="test that they work: one short round, no results written",
    )
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in EVERY]
    if unknown:
        parser.error(f"no benchmark is named {', '.join(unknown)}; see --help")
    rounds = 1 if asked.quick else asked.rounds
    failed = [name for name in asked.names or BENCHMARKS if not run(name, rounds, asked.quick)]
    if not asked.quick:
        out.print(f"Written: {write_summary((*EVERY, HOSTILE))}")
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}. Their results are from an earlier run.")


def run(name: str, rounds: int | None, quick: bool) -> bool:
    """Runs a benchmark. Returns whether it succeeded."""
    out.rule(f"{name}: {EVERY[name]}")
    started = time.monotonic()
    options = ["--rounds", str(rounds)] if rounds and name not in WITHOUT_ROUNDS else []
    environment = {**os.environ, QUICK_VARIABLE: "1"} if quick else None
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", *options], env=environment, check=False
    )
    out.print(f"{name}: {time.monotonic() - started:.0f} s\n")
    return done.returncode == 0


if __name__ == "__main__":
    main()
