"""Runs trials one after another; several trials share a stack."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos.comparison import PublishedEvents
from tests.chaos.lab import lab
from tests.chaos.plan import plan
from tests.chaos.trial import Outcome, run_trial

TRIALS_PER_STACK = 10
"""A rebuild reads the whole day, so a trial takes longer the more trials its stack has had."""


def campaign(seeds: Sequence[int], folder: Path) -> Iterator[tuple[Outcome, Path]]:
    """Runs the trials of the seeds. Yields each outcome with the folder of its stack.

    A stack without failures is removed. After a failure a stack gets no more trials, and its data
    and logs are kept.
    """
    done = number = 0
    while done < len(seeds):
        number += 1
        place = folder / f"stack-{number}"
        held = True
        with lab(place) as stack:
            published = PublishedEvents()
            for seed in seeds[done : done + TRIALS_PER_STACK]:
                outcome = run_trial(stack, plan(seed), published)
                done, held = done + 1, outcome.held
                yield outcome, place
                if not held:
                    break
        if held:
            shutil.rmtree(place)
