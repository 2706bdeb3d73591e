"""`python -m tests.chaos`: trials, one after another, on one stack that is hurt again and again."""

import json
import random
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.chaos.books import Books
from tests.chaos.lab import lab
from tests.chaos.plan import plan
from tests.chaos.trial import Outcome, carry_out

out = Console(highlight=False, soft_wrap=True)

LENGTH = re.compile(r" [\d.]+ s$")
"""How long something was frozen, at the end of what was done."""


def main(
    trials: Annotated[int, typer.Option(min=1, help="How many trials.")] = 100,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The first trial's seed; the others' follow.")
    ] = None,
    rerun: Annotated[
        int | None, typer.Option(min=0, help="The seed of the one trial to run again.")
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(help="Where each campaign makes a folder of its own.")
    ] = Path(".fraiseql/chaos"),
) -> None:
    """Hurt a real stack while events flow, and count what it holds.

    Each trial prints its seed, what was done when, and its verdict. All of it is written to
    trials.jsonl in the campaign's folder, beside the stack's data and logs. Exits with 1 when a
    promise was broken.
    """
    first = random.SystemRandom().randrange(10**6) if seed is None else seed
    seeds = range(first, first + trials) if rerun is None else [rerun]
    folder = data_dir / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    folder.mkdir(parents=True)
    out.print(f"Seeds {seeds[0]} to {seeds[-1]}, in {folder}")
    books, outcomes = Books(), list[Outcome]()
    with lab(folder) as stack, (folder / "trials.jsonl").open("w") as summary:
        for number, chosen in enumerate(seeds, 1):
            outcome = carry_out(stack, plan(chosen), books)
            outcomes.append(outcome)
            out.print(f"{number}/{len(seeds)}  {outcome}", markup=False)
            summary.write(json.dumps(outcome.as_dict()) + "\n")
            summary.flush()
    out.print(table_of(outcomes))
    broken = [outcome.seed for outcome in outcomes if not outcome.held]
    events = sum(outcome.events for outcome in outcomes)
    out.print(
        f"{len(outcomes)} trials, {events:,} events, {len(broken)} broken promises"
        + (f", seeds {', '.join(map(str, broken))}" if broken else "")
    )
    raise typer.Exit(1 if broken else 0)


def table_of(outcomes: list[Outcome]) -> Table:
    """What was done how often, and what came of it."""
    done, held = Counter[str](), Counter[str]()
    for outcome in outcomes:
        deeds = {LENGTH.sub("", deed.what) for deed in outcome.deeds if deed.happened}
        if outcome.killed_at_step:
            deeds.add(f"kill {outcome.step}")
        done.update(deeds)
        held.update(deeds if outcome.held else ())
    table = Table("what was done", "trials", "held")
    for column in table.columns[1:]:
        column.justify = "right"
    for what, count in sorted(done.items()):
        table.add_row(what, f"{count}", f"{held[what]}")
    return table


if __name__ == "__main__":
    typer.run(main)
