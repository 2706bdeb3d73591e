"""What the benchmarks share: sides measured by turns, their ratio, a table and a file of results.

The sides alternate, so that whatever else the machine does falls on all of them; what counts is the
median of the rounds.
"""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
ROUNDS = 7

out = Console(highlight=False, width=110)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: what was measured in each round."""

    name: str
    unit: str
    rounds: list[float]
    """Units per second, or whatever `unit` says; larger is better."""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A number of the project: its measure, its goal and what came out."""

    number: str
    """As the design names it, such as N5."""
    measure: str
    goal: str
    value: float
    met: bool
    sides: list[Side]
    load: tuple[float, float]
    """The machine's load before and after, over the last minute."""


def alternate(
    sides: Mapping[str, Callable[[], float]], *, unit: str, rounds: int = ROUNDS
) -> tuple[list[Side], tuple[float, float]]:
    """Runs the sides by turns, once unmeasured and then `rounds` times; each returns its rate."""
    before = os.getloadavg()[0]
    for work in sides.values():
        work()
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            gc.collect()
            measured[name].append(work())
    found = [Side(name, unit, values) for name, values in measured.items()]
    return found, (before, os.getloadavg()[0])


def rate(work: Callable[[], float]) -> float:
    """How much some work does per second, by what it returns."""
    started = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - started)


def report(name: str, comparisons: list[Comparison]) -> None:
    """Prints the comparisons, and writes them to `results/<name>.json`."""
    for comparison in comparisons:
        state = "[green]met[/green]" if comparison.met else "[red]not met[/red]"
        out.print(f"[bold]{comparison.number}[/bold] {comparison.measure}")
        table = Table("side", "median", "min", "max", "unit")
        for side in comparison.sides:
            numbers = (side.median, min(side.rounds), max(side.rounds))
            table.add_row(side.name, *(f"{number:,.0f}" for number in numbers), side.unit)
        out.print(table)
        out.print(
            f"{comparison.value:,.2f}, goal {comparison.goal}: {state}; load "
            f"{comparison.load[0]:.1f} before, {comparison.load[1]:.1f} after\n"
        )
    RESULTS.mkdir(exist_ok=True)
    written = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(written, indent=2) + "\n")


def machine() -> dict[str, str | int]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
