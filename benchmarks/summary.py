"""Generates `RESULTS.md` from `results/*.json`."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import RESULTS, Cell, readable

PAGE = RESULTS.parent / "RESULTS.md"

HEAD = """\
# Benchmark results

`make bench` writes this page. [performance.md](../docs/performance.md) explains the numbers and
what limits them. The sides of a comparison alternate in one run, and their medians are compared.
*Load* is the machine's one-minute load before and after; a quiet machine starts below 1. `results/`
has the value of every round.
"""

LIMITS = {
    "N5": "the run's single core. A JSON event costs 8 to 10 µs, mostly for Python objects. Tried: "
    "not counting newlines, building columns once, larger receives, fewer threads, tuples instead "
    "of lists, another switch interval, no garbage collection of cycles.",
    "N17": "the encryption, for which client and server share the machine's two cores.",
    "N6": "what lies between the blocks and the engine: the look for duplicates, serialising, and "
    "HTTP with the Python front of the embedded engine, which takes as long as half of the insert.",
    "N9": "the driver's own work: ADBC reads the table from a bare server, which runs no Python "
    "between the batches, no faster than from the service (the table below has both). Tried: other "
    "batch sizes, several endpoints.",
    "N15": "the server, which both sides keep busy: 120 to 170 µs of processor time per document "
    "on this machine, whoever sends it, beside 11 µs of the plane's client and 138 "
    "of the library's. Tried: other refresh intervals, three requests at a time, a young "
    "generation of 200 MB, the whole heap from the start.",
    "N16": "other load on the machine: the fastest round of each kind took 8 to 90 ms. A search "
    "that returns a hundred highlighted hits costs the server 33 ms of processor time, an id 9 ms.",
    "N11": "the search server's refresh, and the start of a run after a quiet time.",
}
"""What limits a measure, and what was tried. Printed if the goal is missed."""


def write_summary(names: Iterable[str]) -> Path:
    """Writes the page with the newest result of each benchmark. Returns its path."""
    found = {
        name: json.loads(path.read_text())
        for name in names
        if (path := RESULTS / f"{name}.json").exists()
    }
    PAGE.write_text("\n".join(_page(found)))
    return PAGE


def _page(found: dict[str, Any]) -> Iterator[str]:
    yield HEAD
    comparisons = sorted(
        (c for result in found.values() for c in result["comparisons"]),
        # What is no requirement has no number and comes last.
        key=lambda c: int(re.sub(r"\D", "", c["number"]) or 10**6),
    )
    yield from _table(
        ("number", "measure", "goal", "value", "met", "load"),
        [
            (c["number"], c["measure"], c["goal"], c["value"], _met(c["met"]), _load(c["load"]))
            for c in comparisons
        ],
    )
    missed = {comparison["number"] for comparison in comparisons if not comparison["met"]}
    for number in sorted(LIMITS.keys() & missed):
        yield f"What limits **{number}**: {LIMITS[number]}\n"
    for name, result in found.items():
        yield f"## {name}\n"
        yield f"{result['at'].replace('T', ' ')[:16]} UTC, {_machine(result['machine'])}.\n"
        for comparison in result["comparisons"]:
            yield f"**{comparison['number']}** {comparison['measure']}\n"
            yield from _table(
                ("side", "median", "min", "max", "unit", "rounds"),
                map(_side, comparison["sides"]),
            )
        for table in result.get("tables", ()):
            yield f"**{table['name']}**\n"
            yield from _table(table["columns"], table["rows"])
            if table["note"]:
                yield f"{table['note']}\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    yield _line(columns)
    yield _line(["---"] * len(columns))
    for row in rows:
        yield _line(map(readable, row))
    yield ""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _side(side: dict[str, Any]) -> Sequence[Cell]:
    rounds = side["rounds"]
    return side["name"], median(rounds), min(rounds), max(rounds), side["unit"], len(rounds)


def _met(met: bool) -> str:
    return "yes" if met else "**no**"


def _load(load: Sequence[float]) -> str:
    return f"{load[0]:.1f} → {load[1]:.1f}"


def _machine(machine: dict[str, Any]) -> str:
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}"
    )
