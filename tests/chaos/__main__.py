"""`python -m tests.chaos`: injects faults into real stacks, then compares what they hold."""

import json
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.chaos.campaign import campaign
from tests.chaos.summary import around, as_markdown, put_into, summary_of, unused_steps
from tests.chaos.trial import Outcome

out = Console(highlight=False, soft_wrap=True, markup=False)


def main(
    trials: Annotated[int, typer.Option(min=1, help="Number of trials.")] = 100,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the first trial. The others have the next seeds."),
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Each campaign creates a folder here.")] = Path(
        ".fraiseql/chaos"
    ),
    page: Annotated[
        Path | None,
        typer.Option(help="Markdown page whose markers enclose the summary; updated at the end."),
    ] = None,
) -> None:
    """Inject faults into real stacks while events flow, and compare what they hold.

    Each trial prints its seed, its faults with their times, and its result. The campaign's folder
    gets trials.jsonl, summary.json and summary.md. It keeps the stack of a failed trial with its
    data and logs. Ctrl-C ends the campaign with a summary of the trials so far. The exit code is 1
    if a guarantee was broken, or if no run was killed at one of the steps.
    """
    first = random.SystemRandom().randrange(10**6) if seed is None else seed
    if page:
        # Fails now instead of after the last trial.
        around(page)
    began, started = datetime.now(UTC), time.monotonic()
    folder = data_dir / f"{began:%Y%m%dT%H%M%S}"
    folder.mkdir(parents=True)
    out.print(f"Seeds {first} to {first + trials - 1}, in {folder}")
    outcomes: list[Outcome] = []
    try:
        with (folder / "trials.jsonl").open("w") as written:
            for outcome, place in campaign(range(first, first + trials), folder):
                outcomes.append(outcome)
                written.write(json.dumps(outcome.as_dict()) + "\n")
                written.flush()
                _report(outcome, len(outcomes), trials, place)
    except KeyboardInterrupt:
        out.print("Interrupted.")
    finally:
        summary = summary_of(outcomes, began=began, seconds=time.monotonic() - started)
        if outcomes:
            _conclude(summary, folder, page if len(outcomes) == trials else None)
    raise typer.Exit(1 if summary["failures"] or unused_steps(summary) else 0)


def _report(outcome: Outcome, number: int, trials: int, place: Path) -> None:
    load = os.getloadavg()[0]
    out.print(f"{number}/{trials}  {outcome}  (load {load:.1f})")
    if not outcome.held:
        out.print(
            f"    its stack is in {place}\n"
            f"    to repeat it: python -m tests.chaos --trials 1 --seed {outcome.seed}"
        )


def _conclude(summary: dict[str, object], folder: Path, page: Path | None) -> None:
    text = as_markdown(summary)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    (folder / "summary.md").write_text(text + "\n")
    if page:
        put_into(page, text)
    out.print(f"\n{text}\n")
    passed_over = unused_steps(summary)
    if passed_over:
        out.print(f"No run was killed at: {', '.join(passed_over)}")
    out.print(f"Summary: {folder / 'summary.json'}{f', and in {page}' if page else ''}")


if __name__ == "__main__":
    typer.run(main)
