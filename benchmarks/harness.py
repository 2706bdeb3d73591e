"""What the benchmarks share: sides measured by turns, their ratio, tables, and a file of results.

The sides alternate, so that whatever else the machine does falls on all of them; what counts is the
median of the rounds.

A benchmark is a module of this folder that `python -m benchmarks` runs as a process of its own. It
takes `--rounds`, and ends with `report`. Under `--quick` (`QUICK` here) it may do less than it
takes to measure anything: that is for seeing that it works, and nothing is written then.
"""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import rich.table
from rich.console import Console

RESULTS = Path(__file__).parent / "results"
ROUNDS = 7
QUICK_VARIABLE = "BENCHMARKS_QUICK"
QUICK = QUICK_VARIABLE in os.environ

out = Console(highlight=False, width=110)
progress = Console(stderr=True, highlight=False, width=110)
"""What only says how far a benchmark is."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: what was measured in each round."""

    name: str
    unit: str
    rounds: list[float]
    """Units per second, or whatever `unit` says."""

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


Cell = str | float | None
"""A number is rounded for its reader; None is a place where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Table:
    """Results that no single number says: growth, percentiles, other baselines."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    """What to know when reading it: the sizes, the load, what was left out."""


def alternate(
    sides: Mapping[str, Callable[[], float]], *, unit: str, rounds: int = ROUNDS
) -> tuple[list[Side], tuple[float, float]]:
    """Runs the sides by turns, once unmeasured and then `rounds` times; each returns its rate."""
    before = load()
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, work in sides.items():
            gc.collect()
            with working(f"round {number} of {rounds}: {name}" if number else f"once: {name}"):
                found = work()
            if number:
                measured[name].append(found)
    return [Side(name, unit, values) for name, values in measured.items()], (before, load())


def rate(work: Callable[[], float]) -> float:
    """How much some work does per second, by what it returns."""
    started = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - started)


def load() -> float:
    """The machine's load over the last minute."""
    return round(os.getloadavg()[0], 2)


@contextmanager
def working(on: str) -> Iterator[None]:
    """Says what is being done for the length of the block: a spinner on a terminal, else a line."""
    if progress.is_terminal:
        with progress.status(on):
            yield
    else:
        progress.print(f"… {on}")
        yield


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies, such as 0.95."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def readable(cell: Cell) -> str:
    """A number with about three digits that mean something, and a text as it is."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{cell:,.0f}"
    return (
        f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}" if abs(cell) >= 0.1 else f"{cell:.3g}"
    )


def report(name: str, comparisons: Iterable[Comparison], tables: Iterable[Table] = ()) -> None:
    """Prints the comparisons and tables, and writes them to `results/<name>.json`."""
    comparisons, tables = list(comparisons), list(tables)
    for comparison in comparisons:
        _print_comparison(comparison)
    for table in tables:
        _print_table(table.name, table.columns, table.rows)
        out.print(table.note + "\n")
    if QUICK:
        return
    RESULTS.mkdir(exist_ok=True)
    written = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "tables": [asdict(table) for table in tables],
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")


def _print_comparison(comparison: Comparison) -> None:
    state = "[green]met[/green]" if comparison.met else "[red]not met[/red]"
    _print_table(
        f"{comparison.number}: {comparison.measure}",
        ("side", "median", "min", "max", "unit"),
        [
            (side.name, side.median, min(side.rounds), max(side.rounds), side.unit)
            for side in comparison.sides
        ],
    )
    out.print(
        f"{readable(comparison.value)}, goal {comparison.goal}: {state}; load "
        f"{comparison.load[0]:.1f} before, {comparison.load[1]:.1f} after\n"
    )


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    table = rich.table.Table(*columns)
    for row in rows:
        table.add_row(*map(readable, row))
    out.print(f"[bold]{title}[/bold]", table)


def machine() -> dict[str, str | int]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
