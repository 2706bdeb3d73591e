"""`python -m tests.fuzz`: random input to everything that clients can reach."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.fuzz.run import run
from tests.fuzz.targets import TARGETS

out = Console(highlight=False, soft_wrap=True, markup=False)


def main(
    targets: Annotated[
        list[str] | None, typer.Argument(help=f"What to fuzz: {', '.join(TARGETS)}; default: all.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Time of all targets together.")] = 10.0,
    seed: Annotated[int | None, typer.Option(help="Repeats the examples of a run.")] = None,
    folder: Annotated[Path, typer.Option(help="Where failures are written.")] = Path(
        ".fraiseql/fuzz"
    ),
) -> None:
    """Send random input to the service and to the local ClickHouse, on real servers.

    Each failure is printed with its smallest example, and written to a file. Keep it as a test. The
    exit code is 1 if there was one.
    """
    names = targets or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise typer.BadParameter(f"There is no {unknown[0]}. There are: {', '.join(TARGETS)}.")
    folder.mkdir(parents=True, exist_ok=True)
    failures = 0
    for name in names:
        outcome = run(name, TARGETS[name], minutes * 60 / len(names), out.print, seed)
        failures += len(outcome.failures)
        for number, text in enumerate(outcome.failures.values(), 1):
            (folder / f"{name}-{number}.txt").write_text(text)
        out.print(
            f"{name}: {outcome.examples:,} examples in {outcome.seconds / 60:.1f} min, "
            f"{len(outcome.failures)} kinds of failures"
        )
    raise typer.Exit(1 if failures else 0)


if __name__ == "__main__":
    typer.run(main)
