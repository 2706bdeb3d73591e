"""Shared parts of the benchmarks: alternating sides, comparisons, tables and result files.

The sides of a comparison alternate, so that other load on the machine affects all of them. The
median of the rounds counts.

A benchmark is a module in this folder that `python -m benchmarks` runs in a separate process. It
has the option `--rounds` and ends with `report`. With `--quick` (`QUICK` here) it only tests that
it works: it may do too little for a measurement, and writes no results.
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
"""Console for progress messages."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison, with the value of each round."""

    name: str
    unit: str
    rounds: list[float]
    """The values, in `unit`."""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A requirement with its goal and the measured value."""

    number: str
    """The number of the requirement, such as N5."""
    measure: str
    goal: str
    value: float
    met: bool
    sides: list[Side]
    load: tuple[float, float]
    """The machine's one-minute load, before and after."""


Cell = str | float | None
"""Numbers are rounded when printed. None means that nothing was measured."""


@dataclass(frozen=True, slots=True)
class Table:
    """Results that one value cannot show: growth, percentiles, other baselines."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    """Sizes, load and anything else that a reader needs to know."""


def alternate(
    sides: Mapping[str, Callable[[], float]], *, unit: str, rounds: int = ROUNDS
) -> tuple[list[Side], tuple[float, float]]:
    """Runs the sides in turn: once unmeasured, then `rounds` times. Each side returns its rate."""
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
    """The amount of work per second. `work` returns the amount."""
    started = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - started)


def load() -> float:
    """The machine's one-minute load."""
    return round(os.getloadavg()[0], 2)


@contextmanager
def working(on: str) -> Iterator[None]:
    """Shows a progress message during the block: a spinner on a terminal, otherwise a line."""
    if progress.is_terminal:
        with progress.status(on):
            yield
    else:
        progress.print(f"… {on}")
        yield


def percentile(values: Sequence[float], share: float) -> float:
    """The percentile of the values for a share such as 0.95."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def readable(cell: Cell) -> str:
    """A number with about three significant digits, or a text unchanged."""
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
    """A description of this machine."""
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
