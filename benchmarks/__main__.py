"""Runs benchmarks one after another and writes `RESULTS.md` from what they found.

Each runs in a process of its own, so that none pays for another's memory. `RESULTS.md` holds the
newest result of every benchmark that is listed here, so a part of them may be run alone.
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
    "flight": "N1: what the Flight service adds to a bare server",
    "graphql_speed": "N2, N3: GraphQL as Arrow, against JSON and against COPY",
    "graphql_limits": "N4, N10: memory of a large result; how soon a query answers and stops",
    "ingest": "N5, N6, N7: events out of the log, into Arrow and into ClickHouse",
    "reading": "messages out of the log, against the client library nats-py",
    "bulk": "N8: bodies for Elasticsearch",
    "indexing": "N15: documents into Elasticsearch",
    "latency": "N11: from published to visible",
    "backlog": "a backlog drained in bounded memory; how cost grows with the number of events",
}
"""What runs when none is named, in this order; each takes `--rounds`."""

LONG = {"soak": "a hundred clients for ten minutes"}
"""What runs only when it is named."""

EVERY = {**BENCHMARKS, **LONG}


def main() -> None:
    listed = "\n".join(f"  {name:<15} {what}" for name, what in EVERY.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"benchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="name", help="which; all but soak, when none is named"
    )
    parser.add_argument("--rounds", type=int, help="measured rounds; else what each takes")
    parser.add_argument(
        "--quick", action="store_true", help="see that they work: one short round, nothing written"
    )
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in EVERY]
    if unknown:
        parser.error(f"no benchmark is named {', '.join(unknown)}; see --help")
    rounds = 1 if asked.quick else asked.rounds
    failed = [name for name in asked.names or BENCHMARKS if not run(name, rounds, asked.quick)]
    if not asked.quick:
        out.print(f"Written: {write_summary(EVERY)}")
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}. The results of these are older ones.")


def run(name: str, rounds: int | None, quick: bool) -> bool:
    """Runs one; whether it came to its end."""
    out.rule(f"{name}: {EVERY[name]}")
    started = time.monotonic()
    options = ["--rounds", str(rounds)] if rounds and name in BENCHMARKS else []
    environment = {**os.environ, QUICK_VARIABLE: "1"} if quick else None
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", *options], env=environment, check=False
    )
    out.print(f"{name}: {time.monotonic() - started:.0f} s\n")
    return done.returncode == 0


if __name__ == "__main__":
    main()
