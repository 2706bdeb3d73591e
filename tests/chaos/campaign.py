"""Trials, one after another, on stacks that are hurt again and again."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos.books import Books
from tests.chaos.lab import lab
from tests.chaos.plan import plan
from tests.chaos.trial import Outcome, carry_out

TRIALS_PER_STACK = 10
"""A day that is rebuilt is read whole: what a trial takes grows with those before it."""


def campaign(seeds: Sequence[int], folder: Path) -> Iterator[tuple[Outcome, Path]]:
    """Carries out the trials of the seeds; yields what became of each, with its stack's folder.

    A stack whose trials all held is removed. One that broke a promise is hurt no further, and
    stays with its data and logs.
    """
    done = number = 0
    while done < len(seeds):
        number += 1
        place = folder / f"stack-{number}"
        held = True
        with lab(place) as stack:
            books = Books()
            for seed in seeds[done : done + TRIALS_PER_STACK]:
                outcome = carry_out(stack, plan(seed), books)
                done, held = done + 1, outcome.held
                yield outcome, place
                if not held:
                    break
        if held:
            shutil.rmtree(place)
